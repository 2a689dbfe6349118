// Package identity says on whose behalf a request is made: who the caller is, in
// which project, and with which roles.
//
// A server has one Authenticator, of which there are three kinds: Headers
// believes what a request says of itself, and belongs behind a loopback listener;
// tokenfile knows tokens that an operator made; keystone asks OpenStack's
// identity service. The packages below have the last two, and devkeystone the
// small identity service that stands in for a Keystone.
//
// Nothing here decides what a caller may do; that is internal/access.
package identity
