package glancetest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// standardPaste says how Debian's Glance puts requests through its filters.
const standardPaste = "/usr/share/glance-common/glance-api-paste.ini"

// trustingPipeline reads who makes a request from its headers, with nobody before it who
// would have proved them.
const trustingPipeline = `
[pipeline:glance-api-trusting]
pipeline = cors http_proxy_to_wsgi versionnegotiation context rootapp

[pipeline:glance-api-trusting+caching]
pipeline = cors http_proxy_to_wsgi versionnegotiation context cache rootapp
`

// Caching has a trusting Glance keep copies of what is downloaded, in the folder that
// more configuration names in image_cache_dir.
const Caching = "[paste_deploy]\nflavor = trusting+caching\n"

// StartTrusting starts a Glance that believes what requests say of themselves in
// X-Project-Id, X-User-Id and X-Roles, if X-Identity-Status is Confirmed. Its policies are
// the standard ones, unless more configuration says otherwise. It runs until the test
// ends.
func StartTrusting(tb testing.TB, more ...string) *Glance {
	tb.Helper()
	standard, err := os.ReadFile(standardPaste)
	if err != nil {
		tb.Fatalf("%v: run scripts/setup, which installs it", err)
	}
	path := filepath.Join(tb.TempDir(), "paste.ini")
	write(tb, path, string(standard)+trustingPipeline)
	return begin(tb, freePort(tb), "trusting", "[paste_deploy]\nconfig_file = "+path+"\n"+strings.Join(more, ""), nil)
}

// NewDefaults makes a Glance judge by its newer policies, which know readers, members and
// administrators, as it does of itself from 2023.1 on.
const NewDefaults = "[oslo_policy]\nenforce_new_defaults = true\nenforce_scope = true\n[DEFAULT]\nenforce_secure_rbac = true\n"
