package main

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"ingest/internal/cli"
	"ingest/internal/contract"
)

// storesFlags say which stores are meant.
type storesFlags struct {
	names            []string
	all, allowFailed bool
}

func (f *storesFlags) declare(fl *pflag.FlagSet, store, all string) {
	fl.StringArrayVar(&f.names, "store", nil, store)
	fl.BoolVar(&f.all, "all-stores", false, all)
	fl.BoolVar(&f.allowFailed, "allow-failed-stores", false, "succeed if one store does, and show on the image which have failed (default: all must succeed)")
}

// spec is what the flags ask for.
func (f *storesFlags) spec(cmd *cobra.Command) (contract.StoresSpec, error) {
	s := contract.StoresSpec{Stores: f.names, AllStores: f.all}
	switch {
	case f.all && len(f.names) > 0:
		return s, cli.Usage(cmd, "--store and --all-stores are given; one of them is enough")
	case f.allowFailed && !s.Several():
		return s, cli.Usage(cmd, "--allow-failed-stores is for several stores: give --store more than once, or --all-stores")
	}
	for i, name := range f.names {
		if name == "" {
			return s, cli.Usage(cmd, "--store is empty")
		}
		for _, other := range f.names[:i] {
			if other == name {
				return s, cli.Usage(cmd, "--store %s is given twice", name)
			}
		}
	}
	if f.allowFailed {
		must := false
		s.AllStoresMustSucceed = &must
	}
	return s, nil
}
