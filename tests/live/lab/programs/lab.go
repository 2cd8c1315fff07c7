// A web service and a client of Go, with the laboratory's delays.
//
//	lab serve JOB.json    lab use JOB.json
//
// The client writes JSON: the time to the first byte of each answer, in ns.
package main

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

type job struct {
	Address     string `json:"address"`
	Port        int    `json:"port"`
	TLS         string `json:"tls"`
	Tickets     bool   `json:"tickets"`
	Resume      bool   `json:"resume"`
	HTTP2       bool   `json:"http2"`
	Shares      []int  `json:"shares"`
	Parallel    int    `json:"parallel"`
	Certificate string `json:"certificate"`
	Key         string `json:"key"`
	FastMS      int    `json:"fast_ms"`
	SlowMS      int    `json:"slow_ms"`
	SlowEvery   int64  `json:"slow_every"`
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func (j job) versions(config *tls.Config) *tls.Config {
	version := map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}[j.TLS]
	config.MinVersion, config.MaxVersion = version, version
	return config
}

func (j job) serve() {
	var number int64 = -1
	handler := func(w http.ResponseWriter, r *http.Request) {
		late := j.FastMS
		if atomic.AddInt64(&number, 1)%j.SlowEvery == j.SlowEvery-1 {
			late = j.SlowMS
		}
		time.Sleep(time.Duration(late) * time.Millisecond)
		io.WriteString(w, "hello\n")
	}
	server := &http.Server{
		Addr:      fmt.Sprintf("%s:%d", j.Address, j.Port),
		Handler:   http.HandlerFunc(handler),
		TLSConfig: j.versions(&tls.Config{SessionTicketsDisabled: !j.Tickets}),
	}
	if !j.HTTP2 {
		server.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){}
	}
	if j.TLS == "" {
		check(server.ListenAndServe())
	}
	check(server.ListenAndServeTLS(j.Certificate, j.Key))
}

func (j job) ask(client *http.Client) int64 {
	var sent, first time.Time
	trace := &httptrace.ClientTrace{
		WroteRequest:         func(httptrace.WroteRequestInfo) { sent = time.Now() },
		GotFirstResponseByte: func() { first = time.Now() },
	}
	scheme := "http"
	if j.TLS != "" {
		scheme = "https"
	}
	request, err := http.NewRequest("GET", fmt.Sprintf("%s://%s:%d/work", scheme, j.Address, j.Port), nil)
	check(err)
	response, err := client.Do(request.WithContext(httptrace.WithClientTrace(request.Context(), trace)))
	check(err)
	_, err = io.Copy(io.Discard, response.Body)
	check(err)
	response.Body.Close()
	return first.Sub(sent).Nanoseconds()
}

// Each share of requests has a connection of its own; `parallel` of a connection at once.
func (j job) use() {
	times := []int64{}
	config := &tls.Config{InsecureSkipVerify: true}
	if j.Resume {
		config.ClientSessionCache = tls.NewLRUClientSessionCache(8)
	}
	for _, share := range j.Shares {
		transport := &http.Transport{TLSClientConfig: j.versions(config).Clone(), ForceAttemptHTTP2: j.HTTP2}
		client := &http.Client{Transport: transport}
		var mutex sync.Mutex
		if j.Parallel > 1 {
			times = append(times, j.ask(client))
			share--
		}
		tickets := make(chan bool, share)
		for i := 0; i < share; i++ {
			tickets <- true
		}
		close(tickets)
		var group sync.WaitGroup
		for i := 0; i < j.Parallel; i++ {
			group.Add(1)
			go func() {
				defer group.Done()
				for range tickets {
					took := j.ask(client)
					mutex.Lock()
					times = append(times, took)
					mutex.Unlock()
				}
			}()
		}
		group.Wait()
		transport.CloseIdleConnections()
	}
	check(json.NewEncoder(os.Stdout).Encode(map[string][]int64{"times_ns": times}))
}

func main() {
	text, err := os.ReadFile(os.Args[2])
	check(err)
	var j job
	check(json.Unmarshal(text, &j))
	if os.Args[1] == "serve" {
		j.serve()
	} else {
		j.use()
	}
}
