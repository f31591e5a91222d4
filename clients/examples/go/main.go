// Asks the gateway what is in each picture: go run main.go -model shapes_cnn PHOTO...
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"
)

type ranked struct {
	Label       string  `json:"label"`
	Probability float64 `json:"probability"`
}

type answer struct {
	Model       string   `json:"model"`
	Version     int64    `json:"version"`
	Predictions []ranked `json:"predictions"`
}

type problem struct {
	Title  string `json:"title"`
	Detail string `json:"detail"`
}

func classify(ctx context.Context, gateway, model string, picture []byte) (*answer, error) {
	address := fmt.Sprintf("%s/v1/models/%s/classify", gateway, url.PathEscape(model))
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(picture))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/octet-stream")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		var refused problem
		if json.Unmarshal(body, &refused) != nil || refused.Detail == "" {
			return nil, fmt.Errorf("%s", response.Status)
		}
		return nil, fmt.Errorf("%s: %s", refused.Title, refused.Detail)
	}
	var found answer
	if err := json.Unmarshal(body, &found); err != nil {
		return nil, err
	}
	if len(found.Predictions) != 1 {
		return nil, fmt.Errorf("%d answers to one picture", len(found.Predictions))
	}
	return &found, nil
}

func main() {
	gateway := flag.String("gateway", "http://127.0.0.1:8080", "address of the gateway")
	model := flag.String("model", "shapes_cnn", "which model to ask")
	flag.Parse()
	failed := false
	for _, path := range flag.Args() {
		picture, err := os.ReadFile(path)
		if err == nil {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			var found *answer
			if found, err = classify(ctx, *gateway, *model, picture); err == nil {
				best := found.Predictions[0]
				fmt.Printf("%s\t%s\t%.4f\n", path, best.Label, best.Probability)
			}
			cancel()
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", path, err)
			failed = true
		}
	}
	if failed {
		os.Exit(1)
	}
}
