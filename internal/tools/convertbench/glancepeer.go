package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"ingest/internal/testserver"
)

// pasteFile is Debian's. Its pipelines know nobody's project without a Keystone, and an
// import is recorded with one.
const pasteFile = "/usr/share/glance-common/glance-api-paste.ini"

// benchPipeline lets everybody in as one administrator.
const benchPipeline = `
[pipeline:glance-api-bench]
pipeline = versionnegotiation everybody context rootapp
[filter:everybody]
paste.filter_factory = bencheverybody:factory
`

const benchFilter = `def factory(conf, **local):
    def wrap(app):
        def call(env, start):
            env.update(HTTP_X_IDENTITY_STATUS='Confirmed', HTTP_X_USER_ID='bench', HTTP_X_PROJECT_ID='bench', HTTP_X_ROLES='admin,member,reader')
            return app(env, start)
        return call
    return wrap
`

// benchConfig is one process that takes web-downloads from this machine.
const benchConfig = `[DEFAULT]
bind_host = 127.0.0.1
bind_port = %[2]s
workers = 0
log_file = %[1]s/log
use_stderr = false
enabled_import_methods = [web-download]
enabled_backends = fs:file
node_staging_uri = file://%[1]s/staging
transport_url = fake://
[glance_store]
default_backend = fs
[fs]
filesystem_store_datadir = %[1]s/images
[os_glance_staging_store]
filesystem_store_datadir = %[1]s/staging
[os_glance_tasks_store]
filesystem_store_datadir = %[1]s/tasks
[database]
connection = sqlite:///%[1]s/glance.sqlite
[paste_deploy]
config_file = %[1]s/paste.ini
flavor = bench
[task]
task_executor = taskflow
work_dir = %[1]s/work
[oslo_concurrency]
lock_path = %[1]s/locks
[wsgi]
python_interpreter = /usr/bin/python3
[image_import_opts]
image_import_plugins = ['image_conversion']
[image_conversion]
output_format = raw
[import_filtering_opts]
allowed_schemes = [http]
allowed_hosts = [127.0.0.1]
allowed_ports = []
`

// startGlance starts Debian's Glance with its conversion plugin in a folder of its own.
func startGlance(ctx context.Context, parent string) (g glance, stop func(), err error) {
	if _, err := exec.LookPath("glance-api"); err != nil {
		return g, nil, fmt.Errorf("%w: glance-api is not installed, and no -glance is given", errSkip)
	}
	dir, err := os.MkdirTemp(parent, "glance-")
	if err != nil {
		return g, nil, err
	}
	clean := func() { _ = os.RemoveAll(dir) }
	port, err := testserver.FreePort()
	if err == nil {
		err = prepareGlance(ctx, dir, port)
	}
	if err != nil {
		clean()
		return g, nil, err
	}
	cmd := exec.Command("glance-api", glanceConfigs(dir)...)
	cmd.Env = append(os.Environ(), "PYTHONPATH="+dir)
	cmd.Dir = dir
	if err := cmd.Start(); err != nil {
		clean()
		return g, nil, err
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	stop = func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-exited:
		case <-time.After(20 * time.Second):
			_ = cmd.Process.Kill()
			<-exited
		}
		clean()
	}
	g = glance{url: "http://127.0.0.1:" + port, pid: cmd.Process.Pid}
	if err := g.up(ctx, exited, filepath.Join(dir, "log")); err != nil {
		stop()
		return g, nil, err
	}
	return g, stop, nil
}

// glanceConfigs names the file twice: the import's plugins read one of this name.
func glanceConfigs(dir string) []string {
	return []string{"--config-file", filepath.Join(dir, "glance-api.conf"), "--config-file", filepath.Join(dir, "glance-image-import.conf")}
}

// prepareGlance writes the files, and makes the database.
func prepareGlance(ctx context.Context, dir, port string) error {
	for _, name := range []string{"images", "staging", "tasks", "work", "locks"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			return err
		}
	}
	paste, err := os.ReadFile(pasteFile)
	if err != nil {
		return err
	}
	config := fmt.Sprintf(benchConfig, dir, port)
	for name, text := range map[string]string{
		"paste.ini": string(paste) + benchPipeline, "bencheverybody.py": benchFilter,
		"glance-api.conf": config, "glance-image-import.conf": config[strings.Index(config, "[image_import_opts]"):],
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	_, err = append(command{"glance-manage"}, append(glanceConfigs(dir)[:2], "db_sync")...).run(ctx)
	return err
}

// up waits until the service answers.
func (g glance) up(ctx context.Context, exited chan error, log string) error {
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); {
		resp, err := http.Get(g.url + "/")
		if err == nil {
			resp.Body.Close()
			return nil
		}
		select {
		case err := <-exited:
			exited <- err
			text, _ := os.ReadFile(log)
			return fmt.Errorf("glance-api ended: %v\n%s", err, text[max(0, len(text)-2000):])
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	return errors.New("glance-api does not answer")
}
