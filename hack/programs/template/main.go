// template-process does what `oc process` does, offline and with OpenShift's own code: it takes a Template, fills in
// its parameters and prints the objects as one List.
//
//	template-process -f FILE [-p NAME=VALUE ...]
//
// As with oc, a name may also be given as a bare NAME=VALUE, and a parameter that the template does not have is refused.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"

	templatev1 "github.com/openshift/api/template/v1"
	"github.com/openshift/library-go/pkg/template/generator"
	"github.com/openshift/library-go/pkg/template/templateprocessing"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

// values are the parameters of the command line, in their order.
type values []string

func (v *values) String() string { return strings.Join(*v, " ") }

func (v *values) Set(text string) error {
	*v = append(*v, text)
	return nil
}

func main() {
	var given values
	file := flag.String("f", "", "the file of the Template")
	flag.Var(&given, "p", "a parameter, NAME=VALUE; may be repeated")
	flag.Parse()
	if err := run(*file, append(given, flag.Args()...)); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(file string, given []string) error {
	template, err := read(file)
	if err != nil {
		return err
	}
	if err := fill(template, given); err != nil {
		return err
	}
	processor := templateprocessing.NewProcessor(map[string]generator.Generator{})
	if faults := processor.Process(template); len(faults) > 0 {
		return faults.ToAggregate()
	}
	return print(template.Objects)
}

func read(file string) (*templatev1.Template, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	template := &templatev1.Template{}
	if err := yaml.UnmarshalStrict(text, template); err != nil {
		return nil, err
	}
	if template.Kind != "Template" || template.APIVersion != templatev1.GroupVersion.String() {
		return nil, fmt.Errorf("%s is no Template of %s", file, templatev1.GroupVersion)
	}
	return template, nil
}

// fill sets the parameters, which is what oc does before it has the Template processed.
func fill(template *templatev1.Template, given []string) error {
	for _, text := range given {
		name, value, found := strings.Cut(text, "=")
		if !found {
			return fmt.Errorf("invalid parameter assignment %q: write NAME=VALUE", text)
		}
		parameter := templateprocessing.GetParameterByName(template, name)
		if parameter == nil {
			return fmt.Errorf("unknown parameter name %q", name)
		}
		parameter.Value = value
		parameter.Generate = ""
	}
	return nil
}

func print(objects []runtime.RawExtension) error {
	items := []any{}
	for _, object := range objects {
		if object.Object == nil {
			return errors.New("an object was left unprocessed")
		}
		items = append(items, object.Object)
	}
	list := map[string]any{"apiVersion": "v1", "kind": "List", "items": items}
	return json.NewEncoder(os.Stdout).Encode(list)
}
