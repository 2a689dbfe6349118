package apidiff

import (
	"fmt"
	"strings"
)

// Document lists differences that are meant, for people: the requests of one reason and
// one place stand together.
func Document(list []Intended) string {
	var out strings.Builder
	out.WriteString("| request | what differs | why |\n|---|---|---|\n")
	for i := 0; i < len(list); {
		first, requests := list[i], []string(nil)
		for ; i < len(list) && list[i].What == first.What && list[i].Reason == first.Reason; i++ {
			requests = append(requests, code(list[i].Request))
		}
		what := code(first.What)
		switch name, isHeader := strings.CutPrefix(first.What, "header "); {
		case isHeader:
			what = "header " + code(name)
		case first.What == "status":
			what = "status"
		case first.What == "*":
			what = "the whole answer"
		}
		fmt.Fprintf(&out, "| %s | %s | %s |\n", strings.Join(requests, "<br>"), what, first.Reason)
	}
	return out.String()
}

// code writes a text into a cell of a table, as it is.
func code(text string) string {
	return "`" + strings.ReplaceAll(strings.ReplaceAll(text, "|", "\\|"), "`", "'") + "`"
}
