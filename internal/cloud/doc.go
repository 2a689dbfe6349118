// Package cloud finds out for the command line which image service of an OpenStack
// cloud is meant, and who asks: from OS_* variables, from clouds.yaml and secure.yaml,
// and from flags that come before both.
//
// Settings have the names that clouds.yaml gives them (auth_url, region_name). Each is
// taken from the first layer that has it: flags, then the cloud that was named, then
// OS_* variables. What belongs together, such as a project's name and its id, comes from
// one layer, so that two sources never make a mixture that nobody wrote.
//
// A Session logs in at Keystone, finds the image service in its catalog, and has a token
// that is kept in memory only. No error repeats a secret.
package cloud
