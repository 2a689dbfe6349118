// Package glance reads images from the image service of an OpenStack cloud (Glance,
// API v2), with what the cloud says of them.
//
// A source is written glance://HOST[:PORT][/PREFIX]/IMAGE, or glance:///IMAGE with a
// credential of type openstack, whose cloud's list of services then says where its
// image service is. IMAGE is an id, or a name with its special characters encoded;
// a name that several images have is refused. HOST is asked over https; behind
// ?scheme=http over http. ?region=R and ?interface=I choose among a cloud's services.
//
// A credential of type openstack logs in at its auth_url, and its token is sent to an
// image service that it is bound to, and to nothing else: what a cloud's list names is
// compared with the credential's hosts. An image service without Keystone is asked
// without a credential, or with one of type basic, bearer or header
// (header: X-Auth-Token). A host that is named by nobody but a URL is connected to
// under the rules for web servers; see sources/http.
//
// An image is pinned by its id and the digest that the service keeps of its bytes, or
// without one by the time of its last change. The bytes of an id never change in
// Glance; a record that says otherwise, an image that is gone or deactivated, and
// an answer with another checksum (Content-MD5) end the read. direct_url and
// locations are not looked at: bytes come from the service alone.
package glance
