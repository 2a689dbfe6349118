package main

import (
	"slices"

	"ingest/api"
	"ingest/api/wire"
	"ingest/formats/writers"
	"ingest/internal/contract"
	"ingest/pipeline"
	"ingest/sources"
)

// apiDefaults says what the server takes, and what it makes of it.
func (s *services) apiDefaults() api.Defaults {
	return api.Defaults{
		OutputFormat: s.c.OutputFormat, OutputCompression: s.c.OutputCompression,
		Schemes: clientSchemes(s.pipeline.Sources), SignedURLs: s.c.SignedURLs,
		Destinations: s.pipeline.Exports.Schemes(),
		Keyrings:     s.pipeline.Keyrings.Names(), AllowMD5: s.c.Trust.AllowMD5,
		Verify:  contract.VerifyPolicy{Default: s.c.Verify, Least: s.c.VerifyMinimum},
		Targets: wireTargets(), Presets: wirePresets(), Resolve: pipeline.CheckTarget,
	}
}

// wireTargets lists the writers as the API shows them.
func wireTargets() []wire.Target {
	var out []wire.Target
	for _, w := range writers.All() {
		t := wire.Target{Name: w.Name, Help: w.Help, DiskFormat: string(w.DiskFormat), ContainerFormat: w.Container, Options: []wire.TargetOption{}}
		for _, o := range w.Options {
			t.Options = append(t.Options, wire.TargetOption{Name: o.Name, Help: o.Help, Default: o.Default, Takes: o.Takes()})
		}
		out = append(out, t)
	}
	return out
}

// wirePresets lists the presets as the API shows them.
func wirePresets() []wire.Preset {
	var out []wire.Preset
	for _, p := range writers.Presets() {
		out = append(out, wire.Preset(p))
	}
	return out
}

// clientSchemes are those of the sources that clients can name. What was staged is named
// by the server alone.
func clientSchemes(set sources.Set) []string {
	return slices.DeleteFunc(set.Schemes(), func(scheme string) bool { return scheme == contract.StagedScheme })
}
