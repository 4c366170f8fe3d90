// Package scenarios holds what both Go programs do alike; ../facts.ts says what a program does and prints.
package scenarios

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"maps"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	Count      = 10_000
	Partitions = 3
)

var Codecs = []string{"none", "gzip", "snappy", "lz4", "zstd"}

// What the program was started with.
var (
	Bootstrap, Scenario, Name string
	T0                        int64
)

func Start() {
	Bootstrap, Scenario, Name = os.Args[1], os.Args[2], os.Args[3]
	t0, err := strconv.ParseInt(os.Args[4], 10, 64)
	Check(err)
	T0 = t0
}

type Header struct {
	Key   string
	Value []byte
}

func Key(n int) []byte   { return fmt.Appendf(nil, "key-%d", n%97) }
func Value(n int) []byte { return fmt.Appendf(nil, "value %d%s", n, strings.Repeat(" again", n%20)) }
func Time(n int) time.Time {
	return time.UnixMilli(T0 + int64(n))
}

func Headers(n int) []Header {
	return []Header{{"n", fmt.Appendf(nil, "%d", n)}, {"empty", []byte{}}, {"raw", []byte{0, 0xff, 0x80}}}
}

// Reading is what a consumer has read, told as the checker wants it.
type Reading struct {
	mutex   sync.Mutex
	rows    [][4]int64
	numbers map[int64]bool
	next    map[int32]int64
}

func NewReading() *Reading {
	return &Reading{numbers: map[int64]bool{}, next: map[int32]int64{}}
}

type Record struct {
	Partition  int32
	Offset     int64
	Time       time.Time
	Key, Value []byte
	Headers    []Header
}

func (r *Reading) Add(record Record) {
	number, err := strconv.ParseInt(strings.Split(string(record.Value), " ")[1], 10, 64)
	Check(err)
	var all bytes.Buffer
	for _, field := range [][]byte{record.Key, record.Value} {
		all.Write(append(field[:len(field):len(field)], 0))
	}
	for _, header := range record.Headers {
		fmt.Fprintf(&all, "%s\x00%s\x00", header.Key, header.Value)
	}
	fmt.Fprint(&all, record.Time.UnixMilli())
	r.mutex.Lock()
	defer r.mutex.Unlock()
	crc := int64(crc32.ChecksumIEEE(all.Bytes()))
	r.rows = append(r.rows, [4]int64{int64(record.Partition), record.Offset, number, crc})
	r.numbers[number] = true
	r.next[record.Partition] = record.Offset + 1
}

func (r *Reading) Count() int {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return len(r.rows)
}

// Take gives what was read since the last time.
func (r *Reading) Take() [][4]int64 {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	rows := r.rows
	r.rows = nil
	return rows
}

// Next gives the positions behind what was read.
func (r *Reading) Next() map[int32]int64 {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return maps.Clone(r.next)
}

// Forget drops the position of a partition that now belongs to another member.
func (r *Reading) Forget(partition int32) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	delete(r.next, partition)
}

// Numbers counts the distinct records that the readings have seen together.
func Numbers(readings ...*Reading) int {
	all := map[int64]bool{}
	for _, each := range readings {
		each.mutex.Lock()
		maps.Copy(all, each.numbers)
		each.mutex.Unlock()
	}
	return len(all)
}

func Tell(step string, facts map[string]any) {
	facts["step"] = step
	line, err := json.Marshal(facts)
	Check(err)
	fmt.Println(string(line))
}

func Until(what string, condition func() bool) {
	for deadline := time.Now().Add(time.Minute); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			Check(fmt.Errorf("waited in vain until %s", what))
		}
	}
}

func Check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		panic(err)
	}
}
