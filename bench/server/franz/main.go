// franz produces as fast as franz-go does with its defaults (idempotent, acknowledged by all), for a while, and
// prints what was acknowledged meanwhile as one line of JSON.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"cordwood.dev/bench/load/measure"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func main() {
	bootstrap := flag.String("bootstrap", "127.0.0.1:9092", "where the broker listens")
	topic := flag.String("topic", fmt.Sprintf("franz-%d", time.Now().UnixNano()), "the topic, which is made")
	valueBytes := flag.Int("value", 100, "bytes of each record's value")
	isDropped := flag.Bool("drop", false, "delete the topic at the end")
	configs := map[string]string{}
	flag.Func("config", "name=value of the topic; repeatable", func(text string) error {
		name, value, _ := strings.Cut(text, "=")
		configs[name] = value
		return nil
	})
	window := &measure.Window{}
	flag.IntVar(&window.Pid, "pid", 0, "process of the broker, whose processor time is read")
	flag.DurationVar(&window.Warm, "warm", 500*time.Millisecond, "warm-up that is not measured")
	flag.DurationVar(&window.Length, "length", 2*time.Second, "what is measured")
	flag.Int64Var(&window.BytesMax, "bytes", 1_000_000_000, "most bytes, warm-up included")
	flag.Parse()

	client, err := kgo.NewClient(
		kgo.SeedBrokers(*bootstrap),
		kgo.DefaultProduceTopic(*topic),
		kgo.ProducerBatchCompression(kgo.NoCompression()),
	)
	check(err)
	defer client.Close()
	create(client, *topic, configs)
	result := produce(client, window, *valueBytes)
	if *isDropped {
		drop(client, *topic)
	}
	line, err := json.Marshal(result)
	check(err)
	fmt.Println(string(line))
}

func produce(client *kgo.Client, window *measure.Window, valueBytes int) measure.Result {
	value := make([]byte, valueBytes)
	rand.Read(value)
	tally := &measure.Tally{}
	ctx := context.Background()
	var lost atomic.Pointer[error]
	acknowledged := func(_ *kgo.Record, err error) {
		if err != nil {
			lost.Store(&err)
			return
		}
		tally.Records.Add(1)
		tally.Bytes.Add(int64(valueBytes))
	}
	produced := make(chan struct{})
	go func() {
		defer close(produced)
		for !window.IsOver() && lost.Load() == nil {
			client.Produce(ctx, &kgo.Record{Value: value}, acknowledged)
		}
		check(client.Flush(ctx))
	}()
	result := window.Measure([]*measure.Tally{tally})
	<-produced
	if err := lost.Load(); err != nil {
		check(*err)
	}
	return result
}

func create(client *kgo.Client, topic string, configs map[string]string) {
	wanted := kmsg.NewCreateTopicsRequestTopic()
	wanted.Topic = topic
	wanted.NumPartitions = 1
	wanted.ReplicationFactor = 1
	for name, value := range configs {
		config := kmsg.NewCreateTopicsRequestTopicConfig()
		config.Name = name
		config.Value = &value
		wanted.Configs = append(wanted.Configs, config)
	}
	request := kmsg.NewCreateTopicsRequest()
	request.TimeoutMillis = 30_000
	request.Topics = append(request.Topics, wanted)
	answer, err := request.RequestWith(context.Background(), client)
	check(err)
	if code := answer.Topics[0].ErrorCode; code != 0 {
		check(fmt.Errorf("creating topic %s: error %d", topic, code))
	}
}

func drop(client *kgo.Client, topic string) {
	request := kmsg.NewDeleteTopicsRequest()
	request.TimeoutMillis = 30_000
	request.TopicNames = []string{topic}
	named := kmsg.NewDeleteTopicsRequestTopic()
	named.Topic = &topic
	request.Topics = append(request.Topics, named)
	_, err := request.RequestWith(context.Background(), client)
	check(err)
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "franz:", err)
		os.Exit(1)
	}
}
