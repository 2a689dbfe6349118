// Package keystone asks OpenStack's identity service who a token stands for.
//
// It does what keystonemiddleware does for Glance: a user of the service's own
// validates the callers' tokens, answers are remembered for some minutes and never
// beyond a token's end, and a service that passes a request on may prove itself with
// X-Service-Token, which lets the user's token be an expired one. An identity service
// that does not answer makes nobody a stranger: that is errcode.IdentityUnavailable,
// and tokens that are remembered go on being good.
package keystone
