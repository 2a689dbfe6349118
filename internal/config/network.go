package config

import (
	"net/url"
	"strconv"
	"strings"
)

// checkNetwork parses the budgets of single hosts and the proxy.
func (c *Fetch) checkNetwork() error {
	c.Hosts, c.Proxy = nil, nil
	for _, item := range items(c.hosts) {
		host, budget, ok := strings.Cut(item, "=")
		connections, bandwidth, _ := strings.Cut(budget, "/")
		n, err := strconv.ParseUint(connections, 10, 31)
		rate := int64(0)
		if err == nil && bandwidth != "" {
			rate, err = strconv.ParseInt(bandwidth, 10, 64)
		}
		if !ok || host == "" || err != nil || rate < 0 {
			return bad("--source-hosts", item, "is not HOST=CONNECTIONS or HOST=CONNECTIONS/BYTES-PER-SECOND")
		}
		if c.Hosts == nil {
			c.Hosts = map[string]HostBudget{}
		}
		c.Hosts[strings.ToLower(host)] = HostBudget{int(n), rate}
	}
	if c.proxy == "" {
		return nil
	}
	u, err := url.Parse(c.proxy)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		// The URL stays out: it may hold a password.
		return bad("--source-proxy", "", "is not the http or https URL of a proxy, such as http://proxy.example.org:3128")
	}
	c.Proxy = u
	return nil
}
