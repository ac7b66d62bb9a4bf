// Command gateway is a proxy in front of Binance's REST API that holds the exchange's keys: it checks
// the signature of each request, signs it again with the real key, and passes it on. It has no limits
// and no books. The risk gateway is measured against it.
package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strconv"
	"strings"
)

const (
	keyHeader       = "X-MBX-APIKEY"
	signatureName   = "signature="
	largestBody     = 1 << 20
	idleConnections = 64
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8081", "HOST:PORT to listen on")
	upstream := flag.String("upstream", "", "base URL of the exchange")
	botKey := flag.String("bot-key", "", "API key that the bot has")
	botSecret := flag.String("bot-secret", "", "secret that the bot signs with")
	flag.Parse()
	target, err := url.Parse(*upstream)
	if err != nil {
		log.Fatal(err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = idleConnections
	key, secret := os.Getenv("EXCHANGE_API_KEY"), []byte(os.Getenv("EXCHANGE_API_SECRET"))
	proxy := &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(request *httputil.ProxyRequest) {
			request.SetURL(target)
			request.Out.Header.Set(keyHeader, key)
		},
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get(keyHeader) != "" && !signAgain(r, *botKey, []byte(*botSecret), secret) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"code":-1022,"msg":"Signature for this request is not valid."}`)
			return
		}
		proxy.ServeHTTP(w, r)
	})
	log.Fatal(http.ListenAndServe(*listen, handler))
}

// signAgain replaces the bot's signature, over query and body as they were sent, by the real one. It
// returns false if the key or the signature is not the bot's.
func signAgain(r *http.Request, key string, botSecret, secret []byte) bool {
	body, err := io.ReadAll(io.LimitReader(r.Body, largestBody))
	if err != nil || r.Header.Get(keyHeader) != key {
		return false
	}
	query, fromQuery := cut(r.URL.RawQuery)
	form, fromBody := cut(string(body))
	signature := fromQuery + fromBody
	sent, err := hex.DecodeString(signature)
	if err != nil || !hmac.Equal(sent, sum(botSecret, query+form)) {
		return false
	}
	again := signatureName + hex.EncodeToString(sum(secret, query+form))
	if fromBody != "" {
		form = join(form, again)
	} else {
		query = join(query, again)
	}
	r.URL.RawQuery = query
	r.Body = io.NopCloser(bytes.NewReader([]byte(form)))
	r.ContentLength = int64(len(form))
	r.Header.Set("Content-Length", strconv.Itoa(len(form)))
	return true
}

// cut splits parameters into all but the signature, and the signature.
func cut(parameters string) (rest, signature string) {
	parts := strings.Split(parameters, "&")
	kept := parts[:0]
	for _, part := range parts {
		if found, ok := strings.CutPrefix(part, signatureName); ok {
			signature = found
		} else {
			kept = append(kept, part)
		}
	}
	return strings.Join(kept, "&"), signature
}

func join(parameters, signature string) string {
	if parameters == "" {
		return signature
	}
	return parameters + "&" + signature
}

func sum(secret []byte, payload string) []byte {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(payload))
	return mac.Sum(nil)
}
