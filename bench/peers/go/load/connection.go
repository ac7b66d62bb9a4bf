package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"strconv"
)

var (
	contentLength = []byte("content-length:")
	yes           = []byte(`"allowed":true`)
)

// connection is one to the server, kept alive.
type connection struct {
	*tls.Conn
	reader *bufio.Reader
	body   []byte
}

func dial(set settings) (*connection, error) {
	conn, err := tls.Dial("tcp", set.address, set.tls)
	if err != nil {
		return nil, err
	}
	return &connection{Conn: conn, reader: bufio.NewReaderSize(conn, 64<<10)}, nil
}

// roundTrip sends a request and reads the answer to its end: the HTTP status, and whether the review
// says that the object is admitted.
func (c *connection) roundTrip(request []byte) (int, bool, error) {
	if _, err := c.Write(request); err != nil {
		return 0, false, err
	}
	line, err := c.reader.ReadSlice('\n')
	if err != nil {
		return 0, false, err
	}
	if len(line) < 12 {
		return 0, false, fmt.Errorf("not an HTTP answer: %q", line)
	}
	status, err := strconv.Atoi(string(line[9:12]))
	if err != nil {
		return 0, false, err
	}
	length, err := c.head()
	if err != nil {
		return 0, false, err
	}
	if cap(c.body) < length {
		c.body = make([]byte, length)
	}
	body := c.body[:length]
	if _, err := io.ReadFull(c.reader, body); err != nil {
		return 0, false, err
	}
	return status, bytes.Contains(body, yes), nil
}

// head reads the headers: the length of the body.
func (c *connection) head() (int, error) {
	length := -1
	for {
		line, err := c.reader.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		if len(line) <= 2 {
			break
		}
		if len(line) > len(contentLength) && bytes.EqualFold(line[:len(contentLength)], contentLength) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(line[len(contentLength):]))); err != nil {
				return 0, err
			}
		}
	}
	if length < 0 {
		return 0, errors.New("an answer without a content-length can't be read here")
	}
	return length, nil
}
