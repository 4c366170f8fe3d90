// Package measure finds out what a part of a run did, and what processor time it took: the server's and the load's own.
package measure

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// Window is the part of a run that is measured: it begins after a warm-up and ends after a time or a volume.
type Window struct {
	Warm     time.Duration
	Length   time.Duration
	BytesMax int64 // warm-up included
	Pid      int   // the server's, 0 where it is not known
	phase    atomic.Int32
}

const (
	warming = iota
	measuring
	over
)

func (w *Window) IsMeasuring() bool { return w.phase.Load() == measuring }
func (w *Window) IsOver() bool      { return w.phase.Load() == over }

// Tally is what one connection has done, on a cache line of its own.
type Tally struct {
	Requests, Records, Bytes atomic.Int64
	Latencies                []int64 // in nanoseconds
	_                        [64]byte
}

type sample struct {
	at                       time.Time
	monotonicUs              int64
	requests, records, bytes int64
	serverCPU, loadCPU       float64
}

func (w *Window) sample(tallies []*Tally) sample {
	s := sample{at: time.Now(), monotonicUs: monotonicUs(), serverCPU: cpuOf(w.Pid), loadCPU: ownCPU()}
	for _, t := range tallies {
		s.requests += t.Requests.Load()
		s.records += t.Records.Load()
		s.bytes += t.Bytes.Load()
	}
	return s
}

// Measure waits for the window to begin and to end, and returns what happened within it.
func (w *Window) Measure(tallies []*Tally) Result {
	start := time.Now()
	bytes := func() (n int64) {
		for _, t := range tallies {
			n += t.Bytes.Load()
		}
		return
	}
	// A fast server would fill the volume before the warm-up ends: then a third of it warms up.
	for time.Since(start) < w.Warm && bytes() < w.BytesMax/3 {
		time.Sleep(time.Millisecond)
	}
	begin := w.sample(tallies)
	w.phase.Store(measuring)
	for time.Since(begin.at) < w.Length && bytes() < w.BytesMax {
		time.Sleep(time.Millisecond)
	}
	end := w.sample(tallies)
	w.phase.Store(over)
	secs := end.at.Sub(begin.at).Seconds()
	r := Result{
		"secs":     secs,
		"requests": end.requests - begin.requests,
		"records":  end.records - begin.records,
		"bytes":    end.bytes - begin.bytes,
		"loadCpu":  end.loadCPU - begin.loadCPU,
		"beginUs":  begin.monotonicUs,
		"endUs":    end.monotonicUs,
	}
	if w.Pid != 0 {
		r["serverCpu"] = end.serverCPU - begin.serverCPU
	}
	return r
}

// Result is what is printed as JSON.
type Result map[string]any

// AddLatencies puts percentiles of nanoseconds into the result, as milliseconds.
func (r Result) AddLatencies(prefix string, all []int64) {
	slices.Sort(all)
	at := func(q float64) float64 {
		if len(all) == 0 {
			return 0
		}
		return float64(all[min(len(all)-1, int(q*float64(len(all))))]) / 1e6
	}
	r[prefix+"p50"] = at(0.5)
	r[prefix+"p99"] = at(0.99)
	r[prefix+"p999"] = at(0.999)
	r[prefix+"max"] = at(1)
	r[prefix+"count"] = len(all)
}

// AllLatencies joins those of all tallies.
func AllLatencies(tallies []*Tally) (all []int64) {
	for _, t := range tallies {
		all = append(all, t.Latencies...)
	}
	return
}

func ownCPU() float64 {
	var u syscall.Rusage
	must(syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return float64(u.Utime.Sec+u.Stime.Sec) + float64(u.Utime.Usec+u.Stime.Usec)/1e6
}

// cpuOf returns user and system seconds of a process, all its threads together.
func cpuOf(pid int) float64 {
	if pid == 0 {
		return 0
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	must(err)
	// The name in brackets may hold blanks; what follows it does not.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+2:]))
	user, err := strconv.ParseFloat(fields[11], 64)
	must(err)
	system, err := strconv.ParseFloat(fields[12], 64)
	must(err)
	const ticksPerSecond = 100
	return (user + system) / ticksPerSecond
}

// monotonicUs is the clock of a V8 profile.
func monotonicUs() int64 {
	const clockMonotonic = 1
	var t syscall.Timespec
	_, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clockMonotonic, uintptr(unsafe.Pointer(&t)), 0)
	if errno != 0 {
		must(errno)
	}
	return t.Nano() / 1000
}

// must ends the program: without these figures a run is worth nothing.
func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "measure:", err)
		os.Exit(1)
	}
}
