package main

import (
	"fmt"
	"os"

	"golang.org/x/term"
)

// paint colours text on a terminal and leaves it alone elsewhere.
func paint(code, s string) string {
	if !term.IsTerminal(int(os.Stdout.Fd())) || os.Getenv("NO_COLOR") != "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func dim(s string) string  { return paint("2", s) }
func good(s string) string { return paint("1;32", s) }

// title begins a chapter.
func title(s string) { fmt.Println("\n" + paint("1", "== "+s)) }
