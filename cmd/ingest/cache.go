package main

import (
	"context"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"ingest/api"
	"ingest/cache"
	"ingest/internal/cli"
	"ingest/metadata"
	"ingest/stores"
)

// openCache opens the cache, if there is to be one.
func (s *services) openCache() error {
	d := s.c.Cache
	if d.Dir == "" {
		return nil
	}
	c, err := cache.Open(cache.Options{
		Dir: d.Dir, MaxBytes: d.MaxBytes, Stall: d.Stall, Source: api.Stores(s.pipeline.Stores), Log: s.log,
		Remote: func(store string) bool { return !stores.IsLocal(s.pipeline.Stores[store]) },
		Live:   s.liveObjects,
	})
	if err != nil {
		return notStarted(err, "the cache cannot be opened", "See what stands at "+d.Dir+", or choose another --cache-dir.")
	}
	s.cache = c
	s.onClose(func() {
		if err := c.Close(); err != nil {
			s.log.Warn().Err(err).Msg("close the cache")
		}
	})
	return nil
}

// liveObjects tells which objects the catalogue names.
func (s *services) liveObjects(ctx context.Context) (func(store, key string) bool, error) {
	list, err := s.catalogue.LiveKeys(ctx)
	if err != nil {
		return nil, err
	}
	live := make(map[metadata.Location]bool, len(list))
	for _, loc := range list {
		live[loc] = true
	}
	return func(store, key string) bool { return live[metadata.Location{Store: store, Key: key}] }, nil
}

// keepCache fetches, prunes and cleans in the background.
func (s *services) keepCache(ctx context.Context) {
	if s.cache != nil {
		go s.cache.Run(ctx)
	}
}

func newCacheCommand(g *globals) *cobra.Command {
	return group("cache", "Look after the server's copies of images in remote stores",
		"  ingest cache list\n  ingest cache queue debian-12",
		newCacheListCommand(g), newCacheQueueCommand(g), newCachePruneCommand(g), newCacheCleanCommand(g), newCacheDeleteCommand(g))
}

func newCacheQueueCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "queue IMAGE...",
		Short: "Have images fetched into the cache in the background",
		Long: `Have images fetched into the cache in the background, one after the other.

The queue is remembered over a restart of the server; ` + "`ingest cache list`" + ` shows it.`,
		Example: `  ingest cache queue debian-12
  ingest cache queue 0d9b3c58-2a56-4f0c-8b1c-3d7c7f1f2e11 windows-2022`,
		Args: cli.Args(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := g.client()
			if err != nil {
				return err
			}
			ids := []string{}
			for _, arg := range args {
				img, err := findImage(cmd.Context(), c, arg)
				if err == nil {
					err = c.CacheQueue(cmd.Context(), img.ID)
				}
				if err != nil {
					return err
				}
				ids = append(ids, img.ID)
				g.notice(cmd, "image %s is queued", img.ID)
			}
			return g.printIDs(cmd, "queued", ids)
		},
	}
}

// printIDs prints which images something was done to, for programs.
func (g *globals) printIDs(cmd *cobra.Command, what string, ids []string) error {
	if !g.json {
		return nil
	}
	return cli.PrintJSON(cmd.OutOrStdout(), map[string][]string{what: ids})
}

func newCacheDeleteCommand(g *globals) *cobra.Command {
	var all, queued bool
	cmd := &cobra.Command{
		Use:   "delete IMAGE... | --all | --queued",
		Short: "Remove images from the cache and its queue",
		Long: `Remove images from the cache and its queue: those that are named, with --all
everything, with --queued everything that waits. The images themselves stay.`,
		Example: `  ingest cache delete debian-11
  ingest cache delete --queued`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if all && queued || (all || queued) == (len(args) > 0) {
				return cli.Usage(cmd, "name images, or give one of --all and --queued")
			}
			c, err := g.client()
			if err != nil {
				return err
			}
			if all || queued {
				target := ""
				if queued {
					target = "queue"
				}
				if err := c.CacheClear(cmd.Context(), target); err != nil {
					return err
				}
				g.notice(cmd, "done")
				return g.printIDs(cmd, "deleted", []string{})
			}
			return g.uncache(cmd, args)
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "empty the cache and the queue")
	cmd.Flags().BoolVar(&queued, "queued", false, "empty the queue")
	return cmd
}

func (g *globals) uncache(cmd *cobra.Command, args []string) error {
	c, err := g.client()
	if err != nil {
		return err
	}
	ids := []string{}
	for _, arg := range args {
		id := arg // perhaps of an image that is gone, which has no name
		if uuid.Validate(arg) != nil {
			img, err := findImage(cmd.Context(), c, arg)
			if err != nil {
				return err
			}
			id = img.ID
		}
		if err := c.CacheDelete(cmd.Context(), id); err != nil {
			return err
		}
		ids = append(ids, id)
		g.notice(cmd, "image %s is out of the cache", id)
	}
	return g.printIDs(cmd, "deleted", ids)
}
