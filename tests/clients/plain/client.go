// Posts every second argument to the one before it, twice, over Go's default client.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

func main() {
	given := os.Args[1:]
	for number := 0; number < len(given)*2; number += 2 {
		at := number % len(given)
		response, err := http.Post(given[at], "application/octet-stream", strings.NewReader(given[at+1]))
		if err != nil {
			panic(err)
		}
		body, err := io.ReadAll(response.Body)
		if err != nil {
			panic(err)
		}
		response.Body.Close()
		fmt.Println(response.StatusCode, string(body))
	}
}
