package bulk

import (
	"fmt"
	"strings"
	"testing"

	"ingest/internal/contract"
	"ingest/internal/errcode"
)

// Each way of writing says the same.
func TestFormatsSayTheSame(t *testing.T) {
	texts := map[Format]string{
		JSON: `{"name":"n","limits":{"per_host":2},"defaults":{"image":{"name":"{basename}-{n}","tags":["a","b"]}},"items":[
{"key":"one","source":{"url":"https://H/x/disk.qcow2.xz"},"priority":7},
{"source":{"url":"s3://Bucket/y.vmdk"},"image":{"properties":{"os":"{key} {{x}}"}}}]}`,
		YAML: "name: n\nlimits: {per_host: 2}\ndefaults:\n  image: {name: \"{basename}-{n}\", tags: [a, b]}\nitems:\n" +
			"- {key: one, source: {url: \"https://H/x/disk.qcow2.xz\"}, priority: 7}\n- source: {url: \"s3://Bucket/y.vmdk\"}\n  image: {properties: {os: \"{key} {{x}}\"}}\n",
		NDJSON: `{"manifest":{"name":"n","limits":{"per_host":2},"defaults":{"image":{"name":"{basename}-{n}","tags":["a","b"]}}}}
{"key":"one","source":{"url":"https://H/x/disk.qcow2.xz"},"priority":7}

{"source":{"url":"s3://Bucket/y.vmdk"},"image":{"properties":{"os":"{key} {{x}}"}}}
`,
		CSV: "url,key,name,tags,priority,property.os\nhttps://H/x/disk.qcow2.xz,one,{basename}-{n},a;b,7,\ns3://Bucket/y.vmdk,,{basename}-{n},a;b,,{key} {{x}}\n",
	}
	for f, text := range texts {
		t.Run(string(f), func(t *testing.T) {
			m, err := Parse(f, []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			reqs, items, err := m.Requests(Submission{Owner: "p"})
			if err != nil || len(reqs) != 2 {
				t.Fatal(reqs, err)
			}
			one, two := reqs[0], reqs[1]
			if items[0].Key != "one" || items[0].Host != "h" || items[0].Urgency != 2 || one.Image.Name != "disk-1" || strings.Join(one.Image.Tags, " ") != "a b" {
				t.Errorf("first %+v of %+v", one, items[0])
			}
			if items[1].Key != "2" || items[1].Host != "s3:bucket" || two.Image.Name != "y-2" || two.Image.Properties["os"] != "2 {x}" || two.Owner != "p" {
				t.Errorf("second %+v of %+v", two, items[1])
			}
			if f != CSV && (m.Name != "n" || m.Settings().Limits.PerHost != 2) {
				t.Errorf("head %+v", m.Head)
			}
		})
	}
}

func TestSameSources(t *testing.T) {
	m, err := Parse(JSON, []byte(`{"items":[{"source":{"url":"https://h/a"}},{"source":{"url":"https://h/a"},"target":{"format":"raw"}},
		{"source":{"url":"https://h/a"},"image":{"name":"other"},"priority":1},{"source":{"url":"https://h/a"},"key":"again"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	_, items, err := m.Bulk(Submission{Owner: "p"})
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(items[0].SameAs, items[1].SameAs, items[2].SameAs, items[3].SameAs)
	if got != "0 0 1 1" || items[0].Digest != items[3].Digest || items[0].Digest == items[2].Digest {
		t.Errorf("same as %s, digests %s %s %s", got, items[0].Digest, items[2].Digest, items[3].Digest)
	}
	_, others, err := m.Bulk(Submission{Owner: "q"})
	if err != nil || others[0].Digest == items[0].Digest {
		t.Errorf("what another project has done is no project's own: %v", err)
	}
}

func TestMistakesAreTold(t *testing.T) {
	many := `{"items":[` + strings.Repeat(`{},`, 30) + `{}]}`
	for _, c := range []struct {
		name, text string
		f          Format
		field      string
		says       string
	}{
		{"no JSON", `{"items":[}`, JSON, "", "JSON"},
		{"behind the end", `{"items":[{"source":{"url":"x"}}]} x`, JSON, "", "behind"},
		{"an unknown member", "{\"items\":[\n\n{\"source\":{\"ur\":\"x\"}}]}", JSON, "items[0].ur", "line 3, item 1"},
		{"an unknown member of the head", `{"naem":"x","items":[{"source":{"url":"x"}}]}`, JSON, "naem", "naem"},
		{"an unknown default", `{"defaults":{"key2":"x"},"items":[{"source":{"url":"x"}}]}`, JSON, "defaults.key2", "defaults"},
		{"another type", `{"items":[{"source":{"url":"x"},"priority":"high"}]}`, JSON, "items[0].priority", "expected"},
		{"no source", `{"items":[{}]}`, JSON, "items[0].source.url", "missing"},
		{"ten are told", many, JSON, "items[0].source.url", "item 10"},
		{"a key twice", `{"items":[{"key":"k","source":{"url":"x"}},{"key":"k","source":{"url":"y"}}]}`, JSON, "items[1].key", "item 1 too"},
		{"a placeholder", `{"items":[{"source":{"url":"x"},"image":{"name":"{os.env}"}}]}`, JSON, "items[0].image.name", "{key}"},
		{"a brace", `{"items":[{"source":{"url":"x"},"image":{"name":"a}b"}}]}`, JSON, "items[0].image.name", "}}"},
		{"an alias", "items:\n- &a {source: {url: x}}\n- *a\n", YAML, "", "aliases"},
		{"two documents", "items:\n- source: {url: x}\n---\nitems: []\n", YAML, "", "more than one"},
		{"a list", "- a\n", YAML, "", "mapping"},
		{"a column", "url,colour\nx,red\n", CSV, "colour", "no column"},
		{"a cell", "url,priority\nx,high\n", CSV, "priority", "line 2"},
		{"a line", "{\"source\":{\"url\":\"x\"}}\n{\"source\":7}\n", NDJSON, "items[1].source", "line 2, item 2"},
		{"nothing", "", NDJSON, "items", "no items"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := Parse(c.f, []byte(c.text))
			if err == nil {
				_, _, err = m.Bulk(Submission{Owner: "p"})
			}
			e, ok := errcode.As(err)
			if !ok || e.Code != errcode.BadRequest || e.Evidence == nil || e.Evidence.Field != c.field || !strings.Contains(e.Message, c.says) {
				t.Errorf("got %v, evidence %+v", err, e)
			}
			if strings.Contains(fmt.Sprint(err), "item 11") {
				t.Errorf("more than ten are told: %v", err)
			}
		})
	}
}

func TestMostItems(t *testing.T) {
	lines := strings.Repeat("{\"source\":{\"url\":\"x\"}}\n", MaxItems)
	m, err := Parse(NDJSON, []byte(lines))
	if err != nil || m.Len() != MaxItems {
		t.Fatalf("%v", err)
	}
	if _, err := Parse(NDJSON, []byte(lines+"{}\n")); errcode.Of(err) != errcode.BadRequest {
		t.Errorf("one more: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("application/json", []byte(`{"items":[{"source":{"url":"https://h/a"},"image":{"name":"{key}{{"}}]}`))
	f.Add("application/yaml", []byte("items:\n- source: {url: x}\n"))
	f.Add("text/csv", []byte("url,key\nx,y\n"))
	f.Fuzz(func(t *testing.T, kind string, text []byte) {
		m, err := Parse(FormatOf(kind), text)
		if err != nil {
			return
		}
		reqs, items, err := m.Requests(Submission{Owner: "p", Check: func(contract.ImportRequest) error { return nil }})
		if err == nil && (len(reqs) != m.Len() || len(items) != m.Len()) {
			t.Errorf("%d of %d items", len(items), m.Len())
		}
	})
}

// TestBandwidthIsNoPartOfWhatIsAsked: a manifest that differs in it alone is the same one,
// and what was done is not done again for it.
func TestBandwidthIsNoPartOfWhatIsAsked(t *testing.T) {
	var digests []string
	for f, text := range map[Format]string{
		JSON: `{"limits":{"bandwidth":"1MiB"},"items":[{"source":{"url":"https://h/a"},"bandwidth":"2MiB"}]}`,
		YAML: "limits: {bandwidth: 2097152, bandwidth_per_host: 1GiB/s}\ndefaults: {bandwidth: 4MiB}\nitems: [{source: {url: \"https://h/a\"}}]\n",
		CSV:  "url,bandwidth\nhttps://h/a,3MiB\n",
	} {
		m, err := Parse(f, []byte(text))
		if err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		reqs, items, err := m.Requests(Submission{ID: "b", Owner: "p"})
		if err != nil || reqs[0].Bandwidth < 2<<20 || f != CSV && m.Limits.Bandwidth == 0 {
			t.Fatalf("%s: %+v, limits %+v, %v", f, reqs, m.Limits, err)
		}
		digests = append(digests, items[0].Digest)
	}
	if digests[0] != digests[1] || digests[1] != digests[2] {
		t.Errorf("digests %v", digests)
	}
	for _, wrong := range []string{`{"limits":{"bandwidth":"fast"},"items":[{"source":{"url":"https://h/a"}}]}`, `{"limits":{"bandwidth":-5},"items":[{"source":{"url":"https://h/a"}}]}`,
		`{"items":[{"source":{"url":"https://h/a"},"bandwidth":1}]}`} {
		m, err := Parse(JSON, []byte(wrong))
		if err == nil {
			_, _, err = m.Bulk(Submission{ID: "b", Owner: "p"})
		}
		if errcode.Of(err) != errcode.BadRequest || !strings.Contains(err.Error(), "bandwidth") {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}
