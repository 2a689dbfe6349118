package main

import "github.com/spf13/cobra"

// commands returns all subcommands. Each is made by a function of its own file
// and stands here once, in its group.
func commands(g *globals) []*cobra.Command {
	all := clientCommands(g)
	all = append(all, localCommands(g)...)
	return append(all, serverCommands(g)...)
}

// clientCommands returns the subcommands that talk to a server.
func clientCommands(g *globals) []*cobra.Command {
	return []*cobra.Command{
		newImportCommand(g),
		newTaskCommand(g),
		newImageCommand(g),
		newPolicyCommand(g),
		newQuotaCommand(g),
	}
}

// localCommands returns the subcommands that work on files of this machine:
// inspect, map, convert, digest, compare; and what inspect starts.
func localCommands(g *globals) []*cobra.Command {
	return []*cobra.Command{
		newInspectCommand(g),
		newMapCommand(g),
		newConvertCommand(g),
		newDigestCommand(g),
		newCompareCommand(g),
		newGuestChildCommand(),
	}
}

// serverCommands returns the subcommands that are a server, set one up or tell
// of the program itself: serve, temporal, provenance, version.
func serverCommands(g *globals) []*cobra.Command {
	return []*cobra.Command{
		newServeCommand(g),
		newCredentialCommand(g),
		newTemporalCommand(g),
		newProvenanceCommand(g),
		newVersionCommand(g),
	}
}
