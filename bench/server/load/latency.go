package main

import (
	"runtime"
	"sync"
	"syscall"
	"time"

	"cordwood.dev/bench/load/measure"
)

// latency has one producer and one consumer that waits at the broker; what is measured runs from the moment a
// message was due until the consumer has it. A late sender does not shorten it.
func latency(o *options) measure.Result {
	addresses := createTopic(o)
	l := &latencyRun{o: o, address: addresses[0], tally: &measure.Tally{}, got: make(chan struct{}, 1)}
	consumed := make(chan struct{})
	go l.consume(consumed)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		if o.rate == 0 {
			l.sendOneByOne()
		} else {
			l.sendAtRate()
		}
	}()
	r := o.window.Measure([]*measure.Tally{l.tally})
	<-stopped
	// The consumer's long poll ends within its 500 ms.
	<-consumed
	r.AddLatencies("", l.tally.Latencies)
	r.AddLatencies("ack", l.acks)
	r.AddLatencies("lag", l.lags)
	return r
}

type latencyRun struct {
	o       *options
	address string
	tally   *measure.Tally
	// When the message was due, by its number: read by the consumer after it has the message.
	got  chan struct{}
	acks []int64
	// How late the sender itself was.
	lags []int64
}

func (l *latencyRun) consume(done chan struct{}) {
	defer close(done)
	o := l.o
	c := dial(l.address)
	defer c.Close()
	var buf []byte
	for offset := int64(0); !o.window.IsOver(); {
		_, err := c.Write(fetchFrame(o.topic, 0, offset, 500, 1<<20))
		check(err)
		buf, err = c.read(buf)
		check(err)
		now := nanos()
		eachBatch(fetchedRecords(buf), func(base, next int64, _ int, batch []byte) {
			if base < offset {
				return
			}
			offset = next
			due := int64(big.Uint64(firstValue(batch)))
			l.tally.Requests.Add(1)
			l.tally.Records.Add(1)
			l.tally.Bytes.Add(int64(len(batch)))
			if o.window.IsMeasuring() {
				l.tally.Latencies = append(l.tally.Latencies, now-due)
			}
			select {
			case l.got <- struct{}{}:
			default:
			}
		})
	}
}

func (l *latencyRun) message(value []byte, due int64) []byte {
	big.PutUint64(value, uint64(due))
	w := &writer{}
	record(w, 0, value)
	parts := produceParts(l.o.topic, []partBatch{{0, seal(w.b, 1)}})
	return requestOf(keyProduce, produceVersion, append(parts[0], parts[1]...))
}

// sendOneByOne sends the next message when the consumer has the last one.
func (l *latencyRun) sendOneByOne() {
	c := dial(l.address)
	defer c.Close()
	value, _ := batchOf(l.o.valueBytes, 0, 1)
	value = firstValue(value)
	for !l.o.window.IsOver() {
		at := nanos()
		checkProduced(c.call(l.message(value, at)), 1)
		if l.o.window.IsMeasuring() {
			l.acks = append(l.acks, nanos()-at)
		}
		select {
		case <-l.got:
		case <-time.After(10 * time.Second):
			fail("the consumer did not get a message within 10 s")
		}
		time.Sleep(l.o.pause)
	}
}

// sendAtRate sends each message when it is due, whatever became of the others.
func (l *latencyRun) sendAtRate() {
	c := dial(l.address)
	defer c.Close()
	value, _ := batchOf(l.o.valueBytes, 0, 1)
	value = firstValue(value)
	dues := make(chan int64, 1<<20)
	var acknowledged sync.WaitGroup
	acknowledged.Add(1)
	go func() {
		defer acknowledged.Done()
		var buf []byte
		for due := range dues {
			var err error
			buf, err = c.read(buf)
			check(err)
			checkProduced(buf, 1)
			if l.o.window.IsMeasuring() {
				l.acks = append(l.acks, nanos()-due)
			}
		}
	}()
	// A thread of its own with exact timers: the runtime's own sleep has a grain of a millisecond.
	runtime.LockOSThread()
	exactTimers()
	interval := int64(time.Second) / int64(l.o.rate)
	for due := nanos(); !l.o.window.IsOver(); due += interval {
		sleepUntil(due)
		if l.o.window.IsMeasuring() {
			l.lags = append(l.lags, nanos()-due)
		}
		frame := l.message(value, due)
		dues <- due
		_, err := c.Write(frame)
		check(err)
	}
	close(dues)
	acknowledged.Wait()
}

func sleepUntil(due int64) {
	for {
		wait := due - nanos()
		if wait <= 0 {
			return
		}
		t := syscall.NsecToTimespec(wait)
		// An interrupted sleep is continued.
		_ = syscall.Nanosleep(&t, nil)
	}
}

// exactTimers lets this thread wake without the 50 microseconds of slack that the kernel adds.
func exactTimers() {
	const prSetTimerslack = 29
	_, _, errno := syscall.Syscall(syscall.SYS_PRCTL, prSetTimerslack, 1, 0)
	if errno != 0 {
		check(errno)
	}
}
