package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand"
	"net"
	"time"
)

// What is sent: the oldest versions that every broker of today still answers, so that frames stay simple.
const (
	keyProduce      = 0
	keyFetch        = 1
	keyMetadata     = 3
	keyApiVersions  = 18
	keyCreateTopics = 19
	keyDeleteTopics = 20

	produceVersion      = 7
	fetchVersion        = 11
	metadataVersion     = 1
	apiVersionsVersion  = 0
	createTopicsVersion = 2
	deleteTopicsVersion = 1
)

const clientID = "load"

// Bytes of a request's size, API key, version, correlation id and client id.
const headBytes = 4 + 2 + 2 + 4 + 2 + len(clientID)

const batchHeadBytes = 61

var (
	big        = binary.BigEndian
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

type writer struct{ b []byte }

func (w *writer) int8(v int8)     { w.b = append(w.b, byte(v)) }
func (w *writer) int16(v int16)   { w.b = big.AppendUint16(w.b, uint16(v)) }
func (w *writer) int32(v int32)   { w.b = big.AppendUint32(w.b, uint32(v)) }
func (w *writer) int64(v int64)   { w.b = big.AppendUint64(w.b, uint64(v)) }
func (w *writer) varint(v int64)  { w.b = binary.AppendVarint(w.b, v) }
func (w *writer) bytes(v []byte)  { w.b = append(w.b, v...) }
func (w *writer) string(v string) { w.int16(int16(len(v))); w.b = append(w.b, v...) }

// putHead fills in the head of a request whose body has bodyBytes bytes.
func putHead(head []byte, key, version int16, correlation int32, bodyBytes int) {
	big.PutUint32(head, uint32(headBytes-4+bodyBytes))
	big.PutUint16(head[4:], uint16(key))
	big.PutUint16(head[6:], uint16(version))
	big.PutUint32(head[8:], uint32(correlation))
	big.PutUint16(head[12:], uint16(len(clientID)))
	copy(head[14:], clientID)
}

func requestOf(key, version int16, body []byte) []byte {
	frame := make([]byte, headBytes, headBytes+len(body))
	putHead(frame, key, version, 1, len(body))
	return append(frame, body...)
}

// record appends one record without a key.
func record(w *writer, delta int, value []byte) {
	r := &writer{}
	r.int8(0)
	r.varint(0)
	r.varint(int64(delta))
	r.varint(-1)
	r.varint(int64(len(value)))
	r.bytes(value)
	r.varint(0)
	w.varint(int64(len(r.b)))
	w.bytes(r.b)
}

// seal makes a batch of records that were appended behind an empty head.
func seal(records []byte, count int) []byte {
	now := time.Now().UnixMilli()
	w := &writer{b: make([]byte, 0, batchHeadBytes+len(records))}
	w.int64(0)
	w.int32(int32(batchHeadBytes - 12 + len(records)))
	w.int32(-1)
	w.int8(2)
	w.int32(0)
	w.int16(0)
	w.int32(int32(count - 1))
	w.int64(now)
	w.int64(now)
	w.int64(-1)
	w.int16(-1)
	w.int32(-1)
	w.int32(int32(count))
	w.bytes(records)
	big.PutUint32(w.b[17:], crc32.Checksum(w.b[21:], castagnoli))
	return w.b
}

// batchOf makes a batch of at most sizeMax bytes of records with random values, one record at least.
func batchOf(valueBytes, sizeMax, recordsMax int) (batch []byte, count int) {
	w := &writer{}
	value := make([]byte, valueBytes)
	for count == 0 || count < recordsMax {
		rand.Read(value)
		before := len(w.b)
		record(w, count, value)
		if count > 0 && batchHeadBytes+len(w.b) > sizeMax {
			w.b = w.b[:before]
			break
		}
		count++
	}
	return seal(w.b, count), count
}

// conn is one connection to a broker.
type conn struct {
	net.Conn
	in   *bufio.Reader
	size [4]byte
}

func dial(address string) *conn {
	c, err := net.Dial("tcp", address)
	check(err)
	return &conn{Conn: c, in: bufio.NewReaderSize(c, 256<<10)}
}

// read returns the next response, correlation id first, in buf where it has room.
func (c *conn) read(buf []byte) ([]byte, error) {
	if _, err := io.ReadFull(c.in, c.size[:]); err != nil {
		return nil, err
	}
	n := int(big.Uint32(c.size[:]))
	if n > cap(buf) {
		buf = make([]byte, n)
	}
	buf = buf[:n]
	_, err := io.ReadFull(c.in, buf)
	return buf, err
}

func (c *conn) call(frame []byte) []byte {
	_, err := c.Write(frame)
	check(err)
	answer, err := c.read(nil)
	check(err)
	return answer
}

// reader walks a response; it panics past the end, which a broker that answers in the asked version never causes.
type reader struct {
	b  []byte
	at int
}

func (r *reader) int16() int16 { v := int16(big.Uint16(r.b[r.at:])); r.at += 2; return v }
func (r *reader) int32() int32 { v := int32(big.Uint32(r.b[r.at:])); r.at += 4; return v }
func (r *reader) int64() int64 { v := int64(big.Uint64(r.b[r.at:])); r.at += 8; return v }
func (r *reader) skip(n int)   { r.at += n }
func (r *reader) string() string {
	n := int(r.int16())
	if n < 0 {
		return ""
	}
	r.at += n
	return string(r.b[r.at-n : r.at])
}

// createTopic makes a topic and returns the address of each partition's leader, when all of them lead.
func createTopic(o *options) []string {
	c := dial(o.bootstrap)
	defer c.Close()
	askForTopic(c, o.topic, o.partitions, o.configs)
	deadline := time.Now().Add(60 * time.Second)
	for time.Now().Before(deadline) {
		if leaders := leadersOf(c, o.topic); len(leaders) >= o.partitions {
			awaitLeadership(o.topic, leaders, deadline)
			return leaders
		}
		time.Sleep(20 * time.Millisecond)
	}
	fail("topic %s has no leaders after 60 s", o.topic)
	return nil
}

func askForTopic(c *conn, topic string, partitions int, configs map[string]string) {
	w := &writer{}
	w.int32(1)
	w.string(topic)
	w.int32(int32(partitions))
	w.int16(1)
	w.int32(0)
	w.int32(int32(len(configs)))
	for name, value := range configs {
		w.string(name)
		w.string(value)
	}
	w.int32(60_000)
	w.int8(0)
	r := &reader{b: c.call(requestOf(keyCreateTopics, createTopicsVersion, w.b))}
	r.skip(4 + 4 + 4)
	r.string()
	if code := r.int16(); code != 0 {
		fail("creating topic %s: error %d %s", topic, code, r.string())
	}
}

// awaitLeadership waits until the leaders know that they lead: Kafka tells clients before that.
func awaitLeadership(topic string, leaders []string, deadline time.Time) {
	conns := map[string]*conn{}
	for partition, leader := range leaders {
		c := conns[leader]
		if c == nil {
			c = dial(leader)
			defer c.Close()
			conns[leader] = c
		}
		for {
			_, code := fetched(c.call(fetchFrame(topic, int32(partition), 0, 0, 1)))
			if code == 0 {
				break
			}
			if time.Now().After(deadline) {
				fail("partition %d of topic %s: error %d for 60 s", partition, topic, code)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}

// leadersOf returns nothing while a partition has no leader.
func leadersOf(c *conn, topic string) []string {
	w := &writer{}
	w.int32(1)
	w.string(topic)
	r := &reader{b: c.call(requestOf(keyMetadata, metadataVersion, w.b))}
	r.skip(4)
	brokers := map[int32]string{}
	for n := r.int32(); n > 0; n-- {
		id := r.int32()
		host := r.string()
		brokers[id] = fmt.Sprintf("%s:%d", host, r.int32())
		r.string()
	}
	r.skip(4 + 4)
	topicError := r.int16()
	r.string()
	r.skip(1)
	leaders := make([]string, r.int32())
	for range leaders {
		code := r.int16()
		index := r.int32()
		leader := r.int32()
		for range 2 {
			r.skip(4 * int(r.int32()))
		}
		if topicError != 0 || code != 0 || brokers[leader] == "" {
			return nil
		}
		leaders[index] = brokers[leader]
	}
	return leaders
}

func deleteTopic(bootstrap, topic string) {
	c := dial(bootstrap)
	defer c.Close()
	w := &writer{}
	w.int32(1)
	w.string(topic)
	w.int32(30_000)
	r := &reader{b: c.call(requestOf(keyDeleteTopics, deleteTopicsVersion, w.b))}
	r.skip(4 + 4 + 4)
	r.string()
	if code := r.int16(); code != 0 {
		fail("deleting topic %s: error %d", topic, code)
	}
}

// partBatch is a batch for one partition.
type partBatch struct {
	partition int32
	batch     []byte
}

// produceParts is the body of a Produce request in pieces: the last batch is shared, not copied.
func produceParts(topic string, batches []partBatch) [][]byte {
	w := &writer{}
	w.int16(-1)
	w.int16(-1)
	w.int32(30_000)
	w.int32(1)
	w.string(topic)
	w.int32(int32(len(batches)))
	for i, one := range batches {
		w.int32(one.partition)
		w.int32(int32(len(one.batch)))
		if i < len(batches)-1 {
			w.bytes(one.batch)
		}
	}
	return [][]byte{w.b, batches[len(batches)-1].batch}
}

// checkProduced fails on any error in a Produce response, which carries `correlation`.
func checkProduced(answer []byte, correlation int32) {
	r := &reader{b: answer}
	if got := r.int32(); got != correlation {
		fail("answer %d came in the place of %d", got, correlation)
	}
	for topics := r.int32(); topics > 0; topics-- {
		r.skip(int(r.int16()))
		for n := r.int32(); n > 0; n-- {
			partition := r.int32()
			if code := r.int16(); code != 0 {
				fail("produce to partition %d: error %d", partition, code)
			}
			r.skip(8 + 8 + 8)
		}
	}
}

func fetchFrame(topic string, partition int32, offset int64, waitMs, bytesMax int32) []byte {
	w := &writer{}
	w.int32(-1)
	w.int32(waitMs)
	w.int32(1)
	w.int32(bytesMax)
	w.int8(0)
	w.int32(0)
	w.int32(-1)
	w.int32(1)
	w.string(topic)
	w.int32(1)
	w.int32(partition)
	w.int32(-1)
	w.int64(offset)
	w.int64(0)
	w.int32(bytesMax)
	w.int32(0)
	w.string("")
	return requestOf(keyFetch, fetchVersion, w.b)
}

// fetchedRecords returns the records of a Fetch response for one partition.
func fetchedRecords(answer []byte) []byte {
	records, code := fetched(answer)
	if code != 0 {
		fail("fetch: error %d", code)
	}
	return records
}

func fetched(answer []byte) (records []byte, code int16) {
	r := &reader{b: answer}
	r.skip(4 + 4)
	if code := r.int16(); code != 0 {
		return nil, code
	}
	r.skip(4)
	if r.int32() == 0 {
		return nil, 0
	}
	r.string()
	if r.int32() == 0 {
		return nil, 0
	}
	r.skip(4)
	if code := r.int16(); code != 0 {
		return nil, code
	}
	r.skip(8 + 8 + 8)
	if aborted := r.int32(); aborted > 0 {
		r.skip(16 * int(aborted))
	}
	r.skip(4)
	if n := int(r.int32()); n > 0 {
		return r.b[r.at : r.at+n], 0
	}
	return nil, 0
}

// eachBatch calls f with each whole batch of a records blob.
func eachBatch(records []byte, f func(baseOffset int64, nextOffset int64, count int, batch []byte)) {
	for len(records) >= batchHeadBytes {
		size := int(big.Uint32(records[8:])) + 12
		if size > len(records) {
			return
		}
		base := int64(big.Uint64(records))
		next := base + int64(big.Uint32(records[23:])) + 1
		f(base, next, int(big.Uint32(records[57:])), records[:size])
		records = records[size:]
	}
}

// firstValue returns the value of a batch's first record.
func firstValue(batch []byte) []byte {
	b := batch[batchHeadBytes:]
	_, n := binary.Varint(b)
	b = b[n+1:]
	var v int64
	for range 4 {
		v, n = binary.Varint(b)
		b = b[n:]
	}
	return b[:v]
}
