// Package devkeystone is a small identity service for development and for machines
// that have no cloud around them: as much of Keystone's API v3 as OpenStack's clients
// need to log in with a password and to find the image service.
//
// Users, their passwords (bcrypt) and what they may in which project stand in a YAML
// file, which is read again when it changes. There is one domain, "default". Tokens are
// signed with a key in the data folder and live for an hour; whoever is taken out of
// the file, or has another password, has no token any more. It knows nothing of groups,
// trusts, federation, application credentials or further services: that is Keystone's.
package devkeystone
