package e2e

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A kit is what OpenStack's clients are tried with: a server that they reach, and the
// files that they send and that the server fetches.
type kit struct {
	*server
	dir    string // of files of this machine
	origin string // URL of the same folder
}

func newKit(t *testing.T, args ...string) *kit {
	t.Helper()
	dir := t.TempDir()
	if err := os.Rename(disk(t, 81, 2*mib), filepath.Join(dir, "disk.raw")); err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(http.FileServer(http.Dir(dir)))
	t.Cleanup(web.Close)
	return &kit{server: start(t, append(args, append([]string{"--store", "second=" + t.TempDir(), "--hash-algo", "sha512", "--md5"}, loopback...)...)), dir: dir, origin: web.URL}
}

func (k *kit) file(name string) string { return filepath.Join(k.dir, name) }

// shell runs lines of a shell script that uses a client, of which none may fail.
func (k *kit) shell(env []string, lines ...string) {
	k.t.Helper()
	cmd := exec.CommandContext(k.t.Context(), "sh", "-euxc", strings.Join(lines, "\n"))
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "OS_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, "HOME="+k.t.TempDir(), "DISK="+k.file("disk.raw"), "DIR="+k.dir, "ORIGIN="+k.origin, "SERVER="+k.url)
	cmd.Env = append(cmd.Env, env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		k.t.Fatalf("%v; run scripts/setup, which installs the clients\n%s", err, out)
	}
}

// TestOpenStackClient has Debian's openstack do what people do with images, with nobody
// who proves who they are.
func TestOpenStackClient(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	env := []string{"OS_AUTH_TYPE=none", "OS_ENDPOINT=" + k.url}
	k.shell(env, `
openstack image create --file $DISK --disk-format raw --container-format bare --min-disk 1 --property os_distro=debian --tag blue --private by-file
openstack image create --import --file $DISK --disk-format raw --container-format bare by-import
`)
	k.shell(env, `
no() { if grep -q "$@"; then exit 1; fi; }
is() { [ "$1" = "$2" ] || { echo "got $1, want $2"; exit 1; }; }
until [ "$(openstack image show by-import -f value -c status)" = active ]; do sleep 0.2; done
is "$(openstack image show by-file -f value -c status -c visibility -c min_disk)" "1
active
private"
openstack image set --property hw_disk_bus=scsi --property gone=soon --tag red --name renamed --min-ram 256 by-file
openstack image unset --property gone --tag blue renamed
openstack image set --shared renamed
openstack image show renamed -f json > $DIR/shown
grep -q '"hw_disk_bus": "scsi"' $DIR/shown; grep -q '"min_ram": 256' $DIR/shown; no gone $DIR/shown; no blue $DIR/shown; grep -q '"red"' $DIR/shown
is "$(openstack image list --name renamed --status active --shared --tag red --property os_distro=debian -f value -c Name)" renamed
is "$(openstack image list --sort name:desc -f value -c Name | head -n 1)" renamed
is "$(openstack image list --limit 1 -f value -c Name)" by-import
is "$(openstack image list --community -f value -c Name)" ""
openstack image save --file $DIR/saved renamed && cmp $DIR/saved $DISK
openstack image set --protected renamed
if openstack image delete renamed 2> $DIR/refused; then exit 1; fi; grep -q -i protected $DIR/refused
openstack image set --unprotected --deactivate renamed
is "$(openstack image show renamed -f value -c status)" deactivated
openstack image set --activate renamed
openstack image delete renamed
is "$(openstack image list -f value -c Name)" by-import
`)
}

// TestGlanceClient has Debian's glance do the same for a user who logs in with a
// password, and another one who is shared an image.
func TestGlanceClient(t *testing.T) {
	t.Parallel()
	const password = "a-password-of-glance"
	k := newKit(t, "--auth", "token", "--identity-users", usersFile(t, password))
	env := []string{"OS_AUTH_URL=" + k.url + "/identity/v3", "OS_USERNAME=ann", "OS_PASSWORD=" + password, "OS_PROJECT_NAME=demo",
		"OS_USER_DOMAIN_NAME=Default", "OS_PROJECT_DOMAIN_NAME=Default", "OS_IDENTITY_API_VERSION=3"}
	k.shell(env, `
no() { if grep -q "$@"; then exit 1; fi; }
glance() { command glance "$@" <&-; } # else it reads images from there
id() { awk '$2 == "id" {print $4}'; }
active() { until glance image-show $1 > $DIR/shown; grep -q 'status .*active' $DIR/shown; do sleep 0.2; done; }
raw="--disk-format raw --container-format bare"
file=$(glance image-create --name by-file $raw --file $DISK --property colour=red --tags blue | id)
direct=$(glance image-create-via-import --name by-import $raw --file $DISK --import-method glance-direct | id)
web=$(glance image-create-via-import --name by-web $raw --import-method web-download --uri $ORIGIN/disk.raw --store second | id)
staged=$(glance image-create --name by-stage $raw | id)
glance image-stage --file $DISK $staged
glance image-show $staged | grep -q 'status .*uploading'
glance image-import --import-method glance-direct $staged | grep -q by-stage
active $direct; active $staged; active $web
grep -q 'stores .*second' $DIR/shown
for i in $file $web; do glance image-download --file $DIR/got $i; cmp $DIR/got $DISK; done
glance image-update --name renamed --property shape=round --remove-property colour --min-ram 64 --protected True $file > $DIR/shown
grep -q 'shape .*round' $DIR/shown; no colour $DIR/shown; grep -q 'protected .*True' $DIR/shown
glance image-tag-update $file green; glance image-tag-delete $file blue
test "$(glance image-list --property-filter name=renamed --tag green --property-filter shape=round --visibility shared | grep -c renamed)" = 1
glance image-list --sort name:desc | sed -n 4p | grep -q renamed
if glance image-delete $file; then exit 1; fi
glance image-update --protected False $file > /dev/null
glance image-deactivate $file
test "$(glance image-show $file | grep -c 'status .*deactivated')" = 1
glance image-reactivate $file
glance member-create $file other | grep -q pending
asbob() { OS_USERNAME=bob OS_PROJECT_NAME=other glance "$@"; }
asbob image-list | no renamed
asbob member-update $file other accepted | grep -q accepted
asbob image-list | grep -q renamed
if asbob image-delete $file; then exit 1; fi
glance member-list --image-id $file | grep -q 'other .*accepted'
glance member-delete $file other
glance task-list | grep -q success
glance image-tasks $web | grep -q success
glance import-info | grep -q web-download
glance stores-info | grep -q second
glance usage | grep -q image_count_total
glance image-delete $file $direct $web $staged
test "$(glance image-list | grep -c by-)" = 0
`)
}
