// Reads dashboards with the types that Grafana generates of its schemas, and says what they would have otherwise.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// What of a panel its type reads without being strict.
type panel struct {
	Title       string
	FieldConfig json.RawMessage
}

func check(text []byte) []error {
	var strict, lenient dashboard.Dashboard
	// Members that no type has are mistakes, and so are missing ones.
	errs := []error{strict.UnmarshalJSONStrict(text)}
	if err := json.Unmarshal(text, &lenient); err != nil {
		errs = append(errs, err)
	}
	errs = append(errs, lenient.Validate())
	var parts struct{ Panels []panel }
	if err := json.Unmarshal(text, &parts); err != nil {
		errs = append(errs, err)
	}
	for _, part := range parts.Panels {
		var fields dashboard.FieldConfigSource
		if err := fields.UnmarshalJSONStrict(part.FieldConfig); err != nil && err.Error() != "" {
			errs = append(errs, fmt.Errorf("panel %q: %w", part.Title, err))
		}
	}
	return errs
}

func main() {
	plugins.RegisterDefaultPlugins()
	failed := false
	for _, file := range os.Args[1:] {
		text, err := os.ReadFile(file)
		errs := append(check(text), err)
		for _, err := range errs {
			// An error of the package may be an empty list of them.
			if err != nil && err.Error() != "" {
				fmt.Printf("%s: %v\n", file, err)
				failed = true
			}
		}
	}
	if failed {
		os.Exit(1)
	}
}
