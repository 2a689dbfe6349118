package main

import (
	"context"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
)

// mostCompleted is how many images are offered for completion.
const mostCompleted = 1000

// completeImage completes the name or id of an image as the first argument; behind it
// come files, or nothing.
func (g *globals) completeImage(then cobra.ShellCompDirective) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, then
		}
		return g.images(cmd, begun)
	}
}

// completeImages completes each argument as an image.
func (g *globals) completeImages(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	return g.images(cmd, begun)
}

// images offers the names that only one image has, and ids once something is typed that
// begins one.
func (g *globals) images(cmd *cobra.Command, begun string) ([]string, cobra.ShellCompDirective) {
	c, err := g.client()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	ctx, stop := context.WithTimeout(cmd.Context(), completionTime)
	defer stop()
	all, err := c.Images(ctx, url.Values{}, mostCompleted)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	named := map[string]int{}
	for _, img := range all {
		named[img.Name]++
	}
	var out []string
	for _, img := range all {
		if img.Name != "" && named[img.Name] == 1 && strings.HasPrefix(img.Name, begun) && !strings.ContainsAny(img.Name, "\t\n") {
			out = append(out, img.Name+"\t"+img.Status+" "+img.DiskFormat)
		}
		if begun != "" && strings.HasPrefix(img.ID, begun) {
			out = append(out, img.ID+"\t"+img.Name)
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

// completeTask completes the id of a task.
func (g *globals) completeTask(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	c, err := g.client()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	ctx, stop := context.WithTimeout(cmd.Context(), completionTime)
	defer stop()
	all, err := c.Tasks(ctx, url.Values{}, mostCompleted)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var out []string
	for _, t := range all {
		if strings.HasPrefix(t.ID, begun) {
			out = append(out, t.ID+"\t"+t.Status+" "+t.Stage)
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}
