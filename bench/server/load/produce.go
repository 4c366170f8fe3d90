package main

import (
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"cordwood.dev/bench/load/measure"
)

// request is one Produce request without its head: what it carries, in pieces that connections share.
type request struct {
	parts   [][]byte
	size    int
	batches int
}

// Requests smaller than this are joined in a buffer; larger ones are written in pieces without copying.
const joinedBytesMax = 4 << 10

// A write carries as many requests as fit into this, one at least.
const writeBytesMax = 64 << 10

func produce(o *options) measure.Result {
	addresses := createTopic(o)
	batch, count := batchOf(o.valueBytes, o.batchBytes, o.recordsMax)
	tallies := make([]*measure.Tally, o.connections)
	producers := make([]*producer, o.connections)
	for i := range producers {
		tallies[i] = &measure.Tally{}
		producers[i] = &producer{
			window: &o.window, tally: tallies[i], inFlight: o.inFlight,
			requests: requestsOf(o, i, addresses, batch), batchBytes: len(batch), batchRecords: count,
			conn: dial(addresses[i%o.partitions]),
		}
	}
	for _, p := range producers {
		p.start()
	}
	r := o.window.Measure(tallies)
	for _, p := range producers {
		p.finish()
	}
	r.AddLatencies("", measure.AllLatencies(tallies))
	r["batchBytes"] = len(batch)
	r["batchRecords"] = count
	return r
}

// requestsOf lists what connection `index` sends in turn: partitions are dealt to the connections, one each
// where there are as many; with several in a request every connection goes through all of them.
func requestsOf(o *options, index int, leaders []string, batch []byte) []*request {
	own := leaders[index%o.partitions]
	var mine []int32
	for p := range o.partitions {
		isDealt := o.perRequest > 1 || p%o.connections == index%o.connections || o.partitions < o.connections && p == index%o.partitions
		if isDealt && leaders[p] == own {
			mine = append(mine, int32(p))
		}
	}
	if len(mine) < o.perRequest {
		fail("%d partitions a request, but the leader %s has %d", o.perRequest, own, len(mine))
	}
	var all []*request
	for at := 0; at+o.perRequest <= len(mine); at += o.perRequest {
		var batches []partBatch
		for _, p := range mine[at : at+o.perRequest] {
			batches = append(batches, partBatch{p, batch})
		}
		one := &request{parts: produceParts(o.topic, batches), batches: len(batches)}
		for _, part := range one.parts {
			one.size += len(part)
		}
		all = append(all, one)
	}
	return all
}

type producer struct {
	window                   *measure.Window
	tally                    *measure.Tally
	conn                     *conn
	inFlight                 int
	requests                 []*request
	batchBytes, batchRecords int
	sent, acked              atomic.Int64
	// When each request in flight was written, by its number modulo inFlight.
	sentAt []atomic.Int64
	// Has one element while the writer may go on.
	room     chan struct{}
	finished chan struct{}
	isClosed atomic.Bool
}

var epoch = time.Now()

func nanos() int64 { return int64(time.Since(epoch)) }

func (p *producer) start() {
	p.sentAt = make([]atomic.Int64, p.inFlight)
	p.room = make(chan struct{}, 1)
	p.finished = make(chan struct{})
	if p.inFlight == 1 {
		go p.oneByOne()
		return
	}
	go p.write()
	go p.read()
}

// oneByOne sends the next request when the last one was answered, without a second goroutine to wake.
func (p *producer) oneByOne() {
	defer close(p.finished)
	var buf []byte
	head := make([]byte, headBytes)
	for n := int64(0); !p.window.IsOver(); n++ {
		one := p.requests[n%int64(len(p.requests))]
		putHead(head, keyProduce, produceVersion, int32(n), one.size)
		at := nanos()
		buffers := net.Buffers(append([][]byte{head}, one.parts...))
		_, err := buffers.WriteTo(p.conn.Conn)
		check(err)
		buf, err = p.conn.read(buf)
		check(err)
		p.count(buf, n, nanos()-at)
	}
}

func (p *producer) count(answer []byte, n int64, latency int64) {
	one := p.requests[n%int64(len(p.requests))]
	checkProduced(answer, int32(n))
	t := p.tally
	t.Requests.Add(1)
	t.Records.Add(int64(one.batches * p.batchRecords))
	t.Bytes.Add(int64(one.batches * p.batchBytes))
	if p.window.IsMeasuring() {
		t.Latencies = append(t.Latencies, latency)
	}
}

func (p *producer) write() {
	defer close(p.finished)
	heads := make([][]byte, p.inFlight)
	for i := range heads {
		heads[i] = make([]byte, headBytes)
	}
	joined := make([]byte, 0, writeBytesMax+joinedBytesMax)
	var pieces [][]byte
	for n := int64(0); !p.window.IsOver(); {
		room := int64(p.inFlight) - (n - p.acked.Load())
		if room == 0 {
			<-p.room
			continue
		}
		joined, pieces = joined[:0], pieces[:0]
		at := nanos()
		for size := 0; room > 0 && size < writeBytesMax; room-- {
			one := p.requests[n%int64(len(p.requests))]
			slot := n % int64(p.inFlight)
			p.sentAt[slot].Store(at)
			putHead(heads[slot], keyProduce, produceVersion, int32(n), one.size)
			if one.size < joinedBytesMax {
				joined = append(joined, heads[slot]...)
				for _, part := range one.parts {
					joined = append(joined, part...)
				}
			} else {
				pieces = append(append(pieces, heads[slot]), one.parts...)
			}
			size += one.size
			n++
		}
		p.sent.Store(n)
		if len(pieces) == 0 {
			_, err := p.conn.Write(joined)
			check(err)
			continue
		}
		// WriteTo consumes its own slice header, not the pieces.
		buffers := net.Buffers(pieces)
		_, err := buffers.WriteTo(p.conn.Conn)
		check(err)
	}
}

func (p *producer) read() {
	var buf []byte
	for n := int64(0); ; n++ {
		var err error
		buf, err = p.conn.read(buf)
		if err != nil {
			if p.isClosed.Load() {
				return
			}
			check(err)
		}
		p.count(buf, n, nanos()-p.sentAt[n%int64(p.inFlight)].Load())
		p.acked.Store(n + 1)
		// The writer wakes once for all answers that came together, and writes as many requests at once.
		if p.conn.in.Buffered() > 0 {
			continue
		}
		p.wake()
	}
}

func (p *producer) wake() {
	select {
	case p.room <- struct{}{}:
	default:
	}
}

// finish waits for what is in flight.
func (p *producer) finish() {
	p.wake()
	<-p.finished
	for deadline := time.Now().Add(30 * time.Second); p.acked.Load() < p.sent.Load(); {
		if time.Now().After(deadline) {
			check(fmt.Errorf("%d requests were not answered within 30 s", p.sent.Load()-p.acked.Load()))
		}
		time.Sleep(time.Millisecond)
	}
	p.isClosed.Store(true)
	p.conn.Close()
}
