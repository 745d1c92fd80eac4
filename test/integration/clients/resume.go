// SPDX-License-Identifier: Apache-2.0

// Go's HTTP client, asked over standard input and answering a line for each line:
//
//	PORT HOST 1.2|1.3 http/1.1|h2 N   N connections, one after the other, of one client
//
// The answer says for each connection: resumed? tickets that came, the server's word, HTTP version, status.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

// Counts what the client is given to keep; nil takes a used ticket out.
type counting struct {
	tls.ClientSessionCache
	n int64
}

func (c *counting) Put(key string, session *tls.ClientSessionState) {
	if session != nil {
		atomic.AddInt64(&c.n, 1)
	}
	c.ClientSessionCache.Put(key, session)
}

func visit(url, port string, config *tls.Config, h2 bool) string {
	transport := &http.Transport{
		TLSClientConfig: config.Clone(),
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", "127.0.0.1:"+port)
		},
		ForceAttemptHTTP2: h2,
	}
	defer transport.CloseIdleConnections()
	reply, err := (&http.Client{Transport: transport, Timeout: 20 * time.Second}).Get(url)
	if err != nil {
		return fmt.Sprintf(" error:%q", err)
	}
	defer reply.Body.Close()
	if _, err := io.Copy(io.Discard, reply.Body); err != nil {
		return fmt.Sprintf(" error:%q", err)
	}
	return fmt.Sprintf(" %t,%%d,%s,%d,%d", reply.TLS.DidResume, reply.Header.Get("X-Resumed"),
		reply.ProtoMajor, reply.StatusCode)
}

func main() {
	versions := map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var port, host, version, alpn string
		var n int
		if _, err := fmt.Sscan(lines.Text(), &port, &host, &version, &alpn, &n); err != nil {
			panic(err)
		}
		cache := &counting{ClientSessionCache: tls.NewLRUClientSessionCache(8)}
		config := &tls.Config{InsecureSkipVerify: true, ServerName: host, ClientSessionCache: cache,
			MinVersion: versions[version], MaxVersion: versions[version]}
		answer := ""
		for i := 0; i < n; i++ {
			before := atomic.LoadInt64(&cache.n)
			seen := visit("https://"+host+":"+port+"/index.html", port, config, alpn == "h2")
			if seen[1] != 'e' {
				seen = fmt.Sprintf(seen, atomic.LoadInt64(&cache.n)-before)
			}
			answer += seen
		}
		fmt.Println(answer[1:])
	}
}
