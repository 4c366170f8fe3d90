// A client of google.golang.org/grpc: main ADDRESS. Prints one line a step: `ok NAME` or `FAILED NAME: reason`.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "cordwood.dev/grpc/gen/cordwood/v1"
	logpb "cordwood.dev/grpc/gen/log/v1"
)

const topic = "go"

func main() {
	connection, err := grpc.NewClient(os.Args[1], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		fmt.Println("FAILED dial:", err)
		os.Exit(1)
	}
	client := clients{
		log:     pb.NewLogServiceClient(connection),
		topics:  pb.NewTopicServiceClient(connection),
		health:  healthpb.NewHealthClient(connection),
		proglog: logpb.NewLogClient(connection),
	}
	steps := []struct {
		name string
		run  func(context.Context, clients) error
	}{
		{"health", checkHealth},
		{"topics", makeTopic},
		{"append and read", appendAndRead},
		{"errors with details", refused},
		{"gzip", compressed},
		{"large messages", large},
		{"append stream", appendStream},
		{"append stream that is half-closed at once", emptyStream},
		{"follow and cancel", follow},
		{"deadline", deadline},
		{"many calls at once", manyCalls},
		{"proglog", book},
	}
	code := 0
	for _, step := range steps {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		if err := step.run(ctx, client); err != nil {
			fmt.Printf("FAILED %s: %v\n", step.name, err)
			code = 1
		} else {
			fmt.Println("ok", step.name)
		}
		cancel()
	}
	os.Exit(code)
}

type clients struct {
	log     pb.LogServiceClient
	topics  pb.TopicServiceClient
	health  healthpb.HealthClient
	proglog logpb.LogClient
}

func checkHealth(ctx context.Context, client clients) error {
	answer, err := client.health.Check(ctx, &healthpb.HealthCheckRequest{Service: "cordwood.v1.LogService"})
	if err != nil {
		return err
	}
	return expect(answer.Status, healthpb.HealthCheckResponse_SERVING)
}

func makeTopic(ctx context.Context, client clients) error {
	_, err := client.topics.CreateTopic(ctx, &pb.CreateTopicRequest{Topic: topic, PartitionCount: proto.Int32(1)})
	if err != nil {
		return err
	}
	described, err := client.topics.DescribeTopic(ctx, &pb.DescribeTopicRequest{Topic: topic})
	if err != nil {
		return err
	}
	return expect(described.Topic.PartitionCount, 1)
}

func appendAndRead(ctx context.Context, client clients) error {
	records := []*pb.NewRecord{
		{Key: []byte("k"), Value: []byte("one"), Headers: []*pb.Header{{Name: "h", Value: []byte{1}}}},
		{Key: []byte{}, Value: []byte{}},
		{Value: []byte("three")},
		{Key: []byte("k")},
	}
	answer, err := client.log.Append(ctx, &pb.AppendRequest{Topic: topic, Records: records})
	if err != nil {
		return err
	}
	if err := expect(fmt.Sprint(answer.Runs), fmt.Sprint([]*pb.AppendedRun{{Count: 4}})); err != nil {
		return err
	}
	read, err := readAll(ctx, client, &pb.ReadRequest{Topic: topic})
	if err != nil {
		return err
	}
	if err := expect(len(read), 4); err != nil {
		return err
	}
	for index, record := range read {
		wanted := records[index]
		same := bytes.Equal(record.Key, wanted.Key) && (record.Key == nil) == (wanted.Key == nil) &&
			bytes.Equal(record.Value, wanted.Value) && (record.Value == nil) == (wanted.Value == nil) &&
			record.Offset == int64(index) && len(record.Headers) == len(wanted.Headers)
		if !same {
			return fmt.Errorf("read %v, appended %v", record, wanted)
		}
	}
	return nil
}

func refused(ctx context.Context, client clients) error {
	_, err := client.log.Append(ctx, &pb.AppendRequest{
		Topic: topic, Records: []*pb.NewRecord{{Value: []byte("x")}}, ExpectedOffset: proto.Int64(99),
	})
	if err := expect(status.Code(err), codes.FailedPrecondition); err != nil {
		return err
	}
	for _, detail := range status.Convert(err).Details() {
		if known, ok := detail.(*pb.ErrorDetail); ok {
			return expect(known.Code, "offset_conflict")
		}
	}
	return errors.New("the status has no detail")
}

func compressed(ctx context.Context, client clients) error {
	value := bytes.Repeat([]byte("compressible "), 10_000)
	answer, err := client.log.Append(ctx, &pb.AppendRequest{
		Topic: topic, Records: []*pb.NewRecord{{Value: value}},
	}, grpc.UseCompressor(gzip.Name))
	if err != nil {
		return err
	}
	from := &pb.Bound{At: &pb.Bound_Offset{Offset: answer.Runs[0].Offset}}
	read, err := readAll(ctx, client, &pb.ReadRequest{Topic: topic, From: from})
	if err != nil {
		return err
	}
	if len(read) != 1 || !bytes.Equal(read[0].Value, value) {
		return errors.New("another value came back")
	}
	_, err = client.topics.ListTopics(ctx, &pb.ListTopicsRequest{}, grpc.UseCompressor(gzip.Name))
	return err
}

func large(ctx context.Context, client clients) error {
	value := bytes.Repeat([]byte{7}, 900_000)
	answer, err := client.log.Append(ctx, &pb.AppendRequest{Topic: topic, Records: []*pb.NewRecord{{Value: value}}})
	if err != nil {
		return err
	}
	from := &pb.Bound{At: &pb.Bound_Offset{Offset: answer.Runs[0].Offset}}
	read, err := readAll(ctx, client, &pb.ReadRequest{Topic: topic, From: from})
	if err != nil {
		return err
	}
	if len(read) != 1 || !bytes.Equal(read[0].Value, value) {
		return errors.New("another value came back")
	}
	over := bytes.Repeat([]byte{7}, 5<<20)
	_, err = client.log.Append(ctx, &pb.AppendRequest{Topic: topic, Records: []*pb.NewRecord{{Value: over}}})
	return expect(status.Code(err), codes.ResourceExhausted)
}

func appendStream(ctx context.Context, client clients) error {
	const count = 20_000
	stream, err := client.log.AppendStream(ctx)
	if err != nil {
		return err
	}
	sent := make(chan error, 1)
	go func() {
		for index := range count {
			request := &pb.AppendStreamRequest{Records: []*pb.NewRecord{{Value: fmt.Appendf(nil, "%d", index)}}}
			if index == 0 {
				request.Topic = topic
			}
			if err := stream.Send(request); err != nil {
				sent <- err
				return
			}
		}
		sent <- stream.CloseSend()
	}()
	acknowledged, next := 0, int64(-1)
	for {
		answer, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		for _, run := range answer.Runs {
			if next >= 0 && run.Offset != next {
				return fmt.Errorf("acknowledged %d, expected %d", run.Offset, next)
			}
			next = run.Offset + int64(run.Count)
			acknowledged += int(run.Count)
		}
	}
	if err := <-sent; err != nil {
		return err
	}
	if err := expect(acknowledged, count); err != nil {
		return err
	}
	from := &pb.Bound{At: &pb.Bound_Offset{Offset: next - count}}
	read, err := readAll(ctx, client, &pb.ReadRequest{Topic: topic, From: from})
	if err != nil {
		return err
	}
	for index, record := range read {
		if string(record.Value) != fmt.Sprint(index) {
			return fmt.Errorf("record %d is %q", index, record.Value)
		}
	}
	return expect(len(read), count)
}

func emptyStream(ctx context.Context, client clients) error {
	stream, err := client.log.AppendStream(ctx)
	if err != nil {
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	_, err = stream.Recv()
	return expect(errors.Is(err, io.EOF), true)
}

func follow(ctx context.Context, client clients) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := client.log.Read(ctx, &pb.ReadRequest{
		Topic: topic, From: &pb.Bound{At: &pb.Bound_End{}}, Follow: true,
	})
	if err != nil {
		return err
	}
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	if err := expect(len(first.Records), 0); err != nil {
		return err
	}
	if _, err := client.log.Append(ctx, &pb.AppendRequest{
		Topic: topic, Records: []*pb.NewRecord{{Value: []byte("news")}},
	}); err != nil {
		return err
	}
	second, err := stream.Recv()
	if err != nil {
		return err
	}
	if err := expect(string(second.Records[0].Value), "news"); err != nil {
		return err
	}
	cancel()
	_, err = stream.Recv()
	return expect(status.Code(err), codes.Canceled)
}

func deadline(ctx context.Context, client clients) error {
	ctx, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	stream, err := client.log.Read(ctx, &pb.ReadRequest{
		Topic: topic, From: &pb.Bound{At: &pb.Bound_End{}}, Follow: true,
	})
	for err == nil {
		_, err = stream.Recv()
	}
	return expect(status.Code(err), codes.DeadlineExceeded)
}

func manyCalls(ctx context.Context, client clients) error {
	const workers, each = 64, 50
	failures := make(chan error, workers)
	for range workers {
		go func() {
			for range each {
				if _, err := client.log.Append(ctx, &pb.AppendRequest{
					Topic: topic, Records: []*pb.NewRecord{{Value: []byte("x")}},
				}); err != nil {
					failures <- err
					return
				}
			}
			failures <- nil
		}()
	}
	for range workers {
		if err := <-failures; err != nil {
			return err
		}
	}
	return nil
}

// What the tests of the book ask of its server.
func book(ctx context.Context, client clients) error {
	produced, err := client.proglog.Produce(ctx, &logpb.ProduceRequest{Record: &logpb.Record{Value: []byte("hello world")}})
	if err != nil {
		return err
	}
	consumed, err := client.proglog.Consume(ctx, &logpb.ConsumeRequest{Offset: produced.Offset})
	if err != nil {
		return err
	}
	if string(consumed.Record.Value) != "hello world" || consumed.Record.Offset != produced.Offset {
		return fmt.Errorf("consumed %v", consumed)
	}
	_, err = client.proglog.Consume(ctx, &logpb.ConsumeRequest{Offset: produced.Offset + 1})
	if err := expect(status.Code(err), codes.Code(404)); err != nil {
		return err
	}
	producing, err := client.proglog.ProduceStream(ctx)
	if err != nil {
		return err
	}
	for offset := range uint64(2) {
		if err := producing.Send(&logpb.ProduceRequest{Record: &logpb.Record{Value: []byte("message")}}); err != nil {
			return err
		}
		answer, err := producing.Recv()
		if err != nil {
			return err
		}
		if err := expect(answer.Offset, produced.Offset+1+offset); err != nil {
			return err
		}
	}
	consuming, err := client.proglog.ConsumeStream(ctx, &logpb.ConsumeRequest{Offset: produced.Offset})
	if err != nil {
		return err
	}
	for offset := range uint64(3) {
		answer, err := consuming.Recv()
		if err != nil {
			return err
		}
		if err := expect(answer.Record.Offset, produced.Offset+offset); err != nil {
			return err
		}
	}
	servers, err := client.proglog.GetServers(ctx, &logpb.GetServersRequest{})
	if err != nil {
		return err
	}
	return expect(len(servers.Servers), 1)
}

func readAll(ctx context.Context, client clients, request *pb.ReadRequest) ([]*pb.Record, error) {
	stream, err := client.log.Read(ctx, request)
	if err != nil {
		return nil, err
	}
	var records []*pb.Record
	for {
		message, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return records, nil
		}
		if err != nil {
			return nil, err
		}
		records = append(records, message.Records...)
	}
}

func expect[T comparable](actual, wanted T) error {
	if actual == wanted {
		return nil
	}
	return fmt.Errorf("it is %v, not %v", actual, wanted)
}
