package main

import "github.com/spf13/cobra"

// The groups of subcommands, as the help shows them.
const (
	groupClient = "client"
	groupLocal  = "local"
	groupServer = "server"
)

// addGroups declares the groups, in their order.
func addGroups(root *cobra.Command) {
	root.AddGroup(
		&cobra.Group{ID: groupClient, Title: "Ask a server:"},
		&cobra.Group{ID: groupLocal, Title: "Work on files of this machine:"},
		&cobra.Group{ID: groupServer, Title: "Run a server:"},
	)
}

// grouped puts subcommands into a group.
func grouped(id string, all ...*cobra.Command) []*cobra.Command {
	for _, cmd := range all {
		cmd.GroupID = id
	}
	return all
}

// commands returns all subcommands. Each is made by a function of its own file
// and stands here once, in its group.
func commands(g *globals) []*cobra.Command {
	all := clientCommands(g)
	all = append(all, localCommands(g)...)
	return append(all, serverCommands(g)...)
}

// clientCommands returns the subcommands that talk to a server.
func clientCommands(g *globals) []*cobra.Command {
	return grouped(groupClient,
		newImportCommand(g),
		newBulkCommand(g),
		newTaskCommand(g),
		newWebhookCommand(g),
		newImageCommand(g),
		newReplicateCommand(g),
		newMemberCommand(g),
		newTagCommand(g),
		newScheduleCommand(g),
		newPolicyCommand(g),
		newAccessCommand(g),
		newQuotaCommand(g),
		newCacheCommand(g),
		newGCCommand(g),
		newScrubCommand(g),
		newFsckCommand(g),
	)
}

// localCommands returns the subcommands that work on files of this machine:
// inspect, map, convert, digest, compare; and what inspect starts.
func localCommands(g *globals) []*cobra.Command {
	return grouped(groupLocal,
		newInspectCommand(g),
		newMapCommand(g),
		newConvertCommand(g),
		newDigestCommand(g),
		newCompareCommand(g),
		newGuestChildCommand(),
	)
}

// serverCommands returns the subcommands that are a server, set one up or tell
// of the program itself: serve, db, credential, token, temporal, provenance, version.
func serverCommands(g *globals) []*cobra.Command {
	return append(grouped(groupServer,
		newServeCommand(g),
		newDBCommand(g),
		newCredentialCommand(g),
		newTokenCommand(g),
		newTemporalCommand(g),
		newProvenanceCommand(g),
	), newVersionCommand(g))
}
