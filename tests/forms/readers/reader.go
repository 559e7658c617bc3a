// Reads forms as a server in Go does: a line of JSON each, {"type": content type, "body": form}, both in base64.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/http"
	"os"
)

type form struct {
	Type []byte `json:"type"`
	Body []byte `json:"body"`
}

type seen struct {
	Values []string `json:"values"`
	Files  int      `json:"files"`
	Error  string   `json:"error,omitempty"`
}

func read(form form) seen {
	request, err := http.NewRequest("POST", "/", bytes.NewReader(form.Body))
	if err != nil {
		return seen{Error: err.Error()}
	}
	request.Header["Content-Type"] = []string{string(form.Type)}
	if err := request.ParseMultipartForm(1 << 20); err != nil {
		return seen{Error: err.Error()}
	}
	return seen{Values: request.MultipartForm.Value["model"], Files: len(request.MultipartForm.File["model"])}
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 64<<20)
	out := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var form form
		if err := json.Unmarshal(lines.Bytes(), &form); err != nil {
			panic(err)
		}
		if err := out.Encode(read(form)); err != nil {
			panic(err)
		}
	}
}
