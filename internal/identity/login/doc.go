// Package login logs in at OpenStack's identity service (Keystone, API v3): as the
// source for other clouds does, as the server does to validate tokens, and as the
// command line does for its user. It sends secrets, so it follows no redirect, and
// reads of an answer no more than it must.
package login
