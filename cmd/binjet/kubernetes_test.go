package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// kube is what Kubernetes knows: its kinds, and the fields of each type. Made by
// testdata/kubernetes from the types that it publishes.
type kube struct {
	Kinds map[string]*kubeType            `json:"kinds"`
	Types map[string]map[string]*kubeType `json:"types"`
}

// kubeType is one of these four; without any, whatever is there.
type kubeType struct {
	Ref    string    `json:"ref"` // a type with fields
	ListOf *kubeType `json:"list_of"`
	MapOf  *kubeType `json:"map_of"`
	Type   any       `json:"type"` // name of a plain one, or a list of names
}

func kubernetes(t *testing.T) (k kube) {
	t.Helper()
	must(t, json.Unmarshal([]byte(readFile(t, "testdata/kubernetes.json")), &k))
	if len(k.Types) < 100 {
		t.Fatalf("only %d types", len(k.Types))
	}
	return k
}

// faults are the fields of a manifest that Kubernetes does not know, or takes another
// kind of value in. It passes over an unknown field with a warning at most, so a probe
// that is misspelled would be none.
func (k kube) faults(at string, want *kubeType, v any) (list []string) {
	switch v := v.(type) {
	case map[string]any:
		if want.Ref == "" && want.MapOf == nil {
			return []string{at + " has no fields"}
		}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			field := want.MapOf
			if want.Ref != "" {
				field = k.Types[want.Ref][name]
			}
			if field == nil {
				list = append(list, fmt.Sprintf("%s has no field %s", at, name))
				continue
			}
			list = append(list, k.faults(at+"."+name, field, v[name])...)
		}
	case []any:
		if want.ListOf == nil {
			return []string{at + " is no list"}
		}
		for i, e := range v {
			list = append(list, k.faults(fmt.Sprintf("%s[%d]", at, i), want.ListOf, e)...)
		}
	default:
		kinds := strings.NewReplacer("map[", "", "[", " ", "]", " ").Replace(fmt.Sprint(" ", want.Type, " "))
		if !strings.Contains(kinds, " "+plainKind(v)+" ") {
			return []string{fmt.Sprintf("%s is %v, not of type%s", at, v, kinds)}
		}
	}
	return list
}

func plainKind(v any) string {
	switch v.(type) {
	case string:
		return "string"
	case bool:
		return "boolean"
	case int, int64, uint64:
		return "integer"
	case float64:
		return "number"
	}
	return "nothing"
}

// documentsOf are the documents of a YAML file.
func documentsOf(t *testing.T, text string) (list []map[string]any) {
	t.Helper()
	for dec := yaml.NewDecoder(bytes.NewReader([]byte(text))); ; {
		var v map[string]any
		err := dec.Decode(&v)
		if errors.Is(err, io.EOF) {
			return list
		}
		must(t, err)
		list = append(list, v)
	}
}

func (k kube) faultsOf(t *testing.T, text string) (list []string) {
	t.Helper()
	for _, doc := range documentsOf(t, text) {
		kind, _ := doc["kind"].(string)
		if k.Kinds[kind] == nil {
			list = append(list, "unknown kind "+kind)
			continue
		}
		list = append(list, k.faults(kind, k.Kinds[kind], doc)...)
	}
	return list
}

// TestManifestsAreStrict: every field of the manifests is one of Kubernetes's, of its
// type; and a misspelled one is found.
func TestManifestsAreStrict(t *testing.T) {
	k, text := kubernetes(t), readFile(t, "../../deploy/kubernetes/binjet.yaml")
	if faults := k.faultsOf(t, text); len(faults) > 0 {
		t.Errorf("%q", faults)
	}
	for from, to := range map[string]string{
		"readinessProbe:": "readynessProbe:", "runAsNonRoot: true": "runAsNonRoot: yes please", "replicas: 2": "replicas: two",
		"minAvailable: 1": "minAvailable: [1]", "containerPort: 9188": "containerPorts: 9188", "kind: Service": "kind: Servise", "drop: [ALL]": "drop: ALL",
	} {
		if faults := k.faultsOf(t, strings.Replace(text, from, to, 1)); len(faults) != 1 {
			t.Errorf("%s in place of %s: %q", to, from, faults)
		}
	}
}
