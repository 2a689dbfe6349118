package apidiff_test

import "ingest/internal/apidiff"

// metadefDifferences are those that are meant.
func metadefDifferences() []apidiff.Intended {
	const (
		words  = "descriptions are words for people"
		fails  = "Glance fails over this request; ingest refuses it"
		tasks  = "ingest has tasks of further types"
		number = "Glance cuts the fraction off"
		value  = "Glance loses a default that is no single value"
		hidden = "that a namespace exists is not told to who may not see it"
		path   = "a namespace without a name could never be asked for again, nor deleted"
	)
	out := []apidiff.Intended{
		{Request: "GET /schemas/*", What: "$*.description", Reason: words},
		{Request: "GET /schemas/task*", What: "$.*properties.type.enum[*", Reason: tasks},
		{Request: "POST /metadefs/namespaces {\"namespace\":\"F\",*", What: "$.properties.f.minimum", Reason: number},
		{Request: "POST /metadefs/namespaces/A/properties {\"name\":\"list\"*", What: "$.default*", Reason: value},
		{Request: "POST /metadefs/namespaces {\"namespace\":\"\"}", What: "*", Reason: path},
		{Request: "GET /metadefs/namespaces?marker=safe  by eve", What: "status", Reason: hidden},
	}
	for _, r := range []string{
		"POST /metadefs/namespaces [1]", "POST /metadefs/namespaces {\"namespace\":\"N2\"*", "POST /metadefs/namespaces {\"namespace\":\"N3\"*",
		"POST /metadefs/namespaces {\"namespace\":\"N4\"*", "POST /metadefs/namespaces {\"namespace\":\"N5\"*", "POST /metadefs/namespaces {\"namespace\":\"N6\"*",
		"GET /metadefs/namespaces?limit=x ", "GET /metadefs/namespaces?sort_key=foo ", "GET /metadefs/namespaces/A/tags?sort_key=x ",
		"POST /metadefs/namespaces/A/properties {\"name\":\"q\",\"title\":\"t\",\"type\":\"integer\",\"required\"*", "POST /metadefs/namespaces/A/tags {}",
	} {
		out = append(out, apidiff.Intended{Request: r, What: "status", Reason: fails})
	}
	return out
}
