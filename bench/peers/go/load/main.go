// Command load sends admission reviews over TLS and HTTP/1.1 keep-alive, and prints what came of it
// as one JSON object.
//
// Without -rate each connection sends its next review as soon as the last one is answered: the peak.
// With -rate reviews are due at fixed times, whatever the server does, and a latency is counted from
// the time at which the review was due; so a stall is seen by all reviews that were due in it, and
// not only by the one that was under way (no coordinated omission).
//
// The client is written by hand, on crypto/tls: net/http's costs more CPU than the servers do.
package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

type settings struct {
	address, path string
	connections   int
	duration      time.Duration
	rate          float64
	bodies        [][]byte
	tls           *tls.Config
}

// result is what is printed. Durations are microseconds.
type result struct {
	Count         int     `json:"count"`
	Seconds       float64 `json:"seconds"`
	PerSecond     float64 `json:"per_second"`
	Not200        int     `json:"not_200"`
	WrongVerdicts int     `json:"wrong_verdicts"`
	P50           float64 `json:"p50_us"`
	P99           float64 `json:"p99_us"`
	Max           float64 `json:"max_us"`
	ClientCPU     float64 `json:"client_cpu_seconds"`
}

// worker is what one connection has seen.
type worker struct {
	latencies     []time.Duration
	not200, wrong int
}

func main() {
	var set settings
	flag.StringVar(&set.address, "address", "127.0.0.1:9443", "HOST:PORT of the server")
	flag.StringVar(&set.path, "path", "/validate", "path to post to")
	flag.IntVar(&set.connections, "connections", 8, "connections")
	flag.DurationVar(&set.duration, "duration", 5*time.Second, "how long")
	flag.Float64Var(&set.rate, "rate", 0, "reviews a second in all; 0 is as fast as they are answered")
	ca := flag.String("ca", "", "file of the CA that signed the server's certificate")
	bodies := flag.String("bodies", "", "file of AdmissionReviews to admit, one a line, sent in turn")
	flag.Parse()

	if err := run(set, *ca, *bodies); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func run(set settings, ca, bodies string) error {
	pem, err := os.ReadFile(ca)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	set.tls = &tls.Config{RootCAs: roots, ServerName: "127.0.0.1", NextProtos: []string{"http/1.1"}}
	if set.bodies, err = requests(set, bodies); err != nil {
		return err
	}
	measured, err := measure(set)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(measured)
}

// requests are whole HTTP requests, ready to be written.
func requests(set settings, path string) ([][]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var ready [][]byte
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 8<<20)
	for lines.Scan() {
		head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: kube-apiserver-admission\r\n"+
			"Content-Length: %d\r\nAccept: application/json, */*\r\nContent-Type: application/json\r\n\r\n",
			set.path, set.address, len(lines.Bytes()))
		ready = append(ready, append([]byte(head), lines.Bytes()...))
	}
	if len(ready) == 0 && lines.Err() == nil {
		return nil, fmt.Errorf("%s has no line", path)
	}
	return ready, lines.Err()
}

func measure(set settings) (*result, error) {
	connections := make([]*connection, set.connections)
	for i := range connections {
		var err error
		if connections[i], err = dial(set); err != nil {
			return nil, err
		}
		defer connections[i].Close()
	}
	workers := make([]worker, set.connections)
	errs := make([]error, set.connections)
	due := pace(set)
	begin := time.Now()
	end := begin.Add(set.duration)
	var next atomic.Uint64
	var all sync.WaitGroup
	for i := range workers {
		all.Go(func() {
			for {
				intended, more := take(due, end)
				if !more {
					return
				}
				request := set.bodies[next.Add(1)%uint64(len(set.bodies))]
				if errs[i] = workers[i].ask(connections[i], request, intended); errs[i] != nil {
					return
				}
			}
		})
	}
	all.Wait()
	seconds := time.Since(begin).Seconds()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return summary(workers, seconds), nil
}

// take is the time at which the next review is due: now, if there is no pace.
func take(due <-chan time.Time, end time.Time) (time.Time, bool) {
	if due != nil {
		intended, more := <-due
		return intended, more
	}
	now := time.Now()
	return now, now.Before(end)
}

// pace hands out the times at which reviews are due, each not before it has come. It sleeps in the
// kernel: Go's own timers are a millisecond late when nothing else goes on.
func pace(set settings) <-chan time.Time {
	if set.rate == 0 {
		return nil
	}
	total := int(set.rate * set.duration.Seconds())
	due := make(chan time.Time, total) // never full: a slow server can't slow the pace down
	go func() {
		defer close(due)
		begin := time.Now()
		for i := range total {
			intended := begin.Add(time.Duration(float64(i) / set.rate * float64(time.Second)))
			if left := time.Until(intended); left > 0 {
				pause := syscall.NsecToTimespec(int64(left))
				_ = syscall.Nanosleep(&pause, nil)
			}
			due <- intended
		}
	}()
	return due
}

func (w *worker) ask(c *connection, request []byte, intended time.Time) error {
	status, admitted, err := c.roundTrip(request)
	if err != nil {
		return err
	}
	w.latencies = append(w.latencies, time.Since(intended))
	if status != 200 {
		w.not200++
	} else if !admitted {
		w.wrong++
	}
	return nil
}

func summary(workers []worker, seconds float64) *result {
	var all []time.Duration
	measured := &result{Seconds: seconds, ClientCPU: cpuSeconds()}
	for _, one := range workers {
		all = append(all, one.latencies...)
		measured.Not200 += one.not200
		measured.WrongVerdicts += one.wrong
	}
	slices.Sort(all)
	measured.Count = len(all)
	measured.PerSecond = float64(len(all)) / seconds
	at := func(part float64) float64 {
		if len(all) == 0 {
			return 0
		}
		return float64(all[int(part*float64(len(all)-1))].Nanoseconds()) / 1000
	}
	measured.P50, measured.P99, measured.Max = at(0.5), at(0.99), at(1)
	return measured
}

func cpuSeconds() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
}
