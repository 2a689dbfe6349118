package policy

import (
	"fmt"
	"slices"
	"strings"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/logging"
)

// A file is one of an image's files, with what a request or a fetch says of its
// proofs.
type file struct {
	name, url string
	proofs    []contract.Verification
}

// demand finds the rule for a file: the first that matches decides. Where none
// does, nothing is demanded. unclear says that a path which can be read in more
// than one way may be meant by the rule: then nothing satisfies it.
func (r requireRule) demand(url string) (d demandRule, unclear, ok bool) {
	all := locateAll(url)
	for _, d := range r.places {
		// Who demands nothing of a bucket means that of a service that the URL does
		// not choose, and who demands something of a service means all of its buckets.
		if slices.Contains(d.need, "none") {
			if !slices.ContainsFunc(all, func(at location) bool { return !d.matches(at, false) }) {
				return d, false, true
			}
			continue
		}
		if i := slices.IndexFunc(all, func(at location) bool { return d.matches(at, true) }); i >= 0 {
			return d, all[i].crooked && d.path != "", true
		}
	}
	return demandRule{}, false, false
}

// offered judges before anything is fetched: a request that does not ask for any
// of the proofs that are demanded cannot end well.
func (e *evaluation) offered(s contract.SourceSpec) {
	common := []contract.Verification{}
	if s.ChecksumFile != "" {
		common = append(common, contract.Verification{Kind: contract.VerifiedChecksumFile})
	}
	if s.Signature != "" || s.Keyring != "" {
		common = append(common, contract.Verification{Kind: contract.VerifiedSignature, Keyring: s.Keyring})
	}
	files := everywhere(s, append(digestOf("", s.Checksum), common...))
	for _, m := range s.Members {
		files = append(files, file{m.FileName(), m.URL, append(digestOf(m.FileName(), m.Checksum), common...)})
	}
	e.demands(files, "is asked for", func(d demandRule, v contract.Verification) bool {
		// What a checksum file lists, and which key has signed, is not known yet.
		switch v.Kind {
		case contract.VerifiedDigest:
			return slices.Contains(d.algorithms, v.Algo)
		case contract.VerifiedSignature:
			return v.Keyring == "" || len(d.keyrings) == 0 || slices.Contains(d.keyrings, v.Keyring)
		}
		return true
	})
}

// verified judges what a fetch has proved. A digest of the request is one of the
// proofs: a fetch whose bytes come to another one fails.
func (e *evaluation) verified(s contract.SourceSpec, f contract.Fetched) {
	of := func(name string) []contract.Verification {
		var out []contract.Verification
		for _, v := range f.Verifications {
			if v.File == name {
				out = append(out, v)
			}
		}
		return out
	}
	s.URL = cloudOf(f, s.URL)
	files := everywhere(s, append(digestOf("", s.Checksum), of("")...))
	for i, m := range s.Members {
		name := m.FileName()
		if i < len(f.Members) {
			m.URL = cloudOf(f.Members[i].Fetched, m.URL)
		}
		files = append(files, file{name, m.URL, append(digestOf(name, m.Checksum), of(name)...)})
	}
	e.demands(files, "was verified", func(d demandRule, v contract.Verification) bool {
		switch v.Kind {
		case contract.VerifiedDigest, contract.VerifiedChecksumFile:
			return slices.Contains(d.algorithms, v.Algo)
		case contract.VerifiedSignature:
			// A digest stands between the signature and the bytes, unless the
			// signature is over the bytes themselves.
			sturdy := v.Digest == "" || slices.Contains(d.algorithms, v.Algo)
			return sturdy && v.Fingerprint != "" && (len(d.keyrings) == 0 || slices.Contains(d.keyrings, v.Keyring))
		}
		return false
	})
}

// everywhere is the first file with its proofs, once for each place that its bytes
// may come from: what is demanded of one of them is demanded of all.
func everywhere(s contract.SourceSpec, proofs []contract.Verification) []file {
	out := []file{{url: s.URL, proofs: proofs}}
	for _, m := range s.Mirrors {
		out = append(out, file{url: m, proofs: proofs})
	}
	return out
}

// digestOf reads ALGO:HEX of a request.
func digestOf(name, checksum string) []contract.Verification {
	algo, digest, ok := strings.Cut(checksum, ":")
	if !ok {
		return nil
	}
	return []contract.Verification{{Kind: contract.VerifiedDigest, File: name, Algo: strings.ToLower(algo), Digest: strings.ToLower(digest)}}
}

// demands judges the proofs of each file. counts says whether one satisfies.
func (e *evaluation) demands(files []file, has string, counts func(demandRule, contract.Verification) bool) {
	rule := e.rules.require
	if !rule.set() || rule.any {
		return
	}
	for _, f := range files {
		d, unclear, ok := rule.demand(f.url)
		if !ok {
			continue
		}
		subject := "verification of " + logging.URL(f.url)
		if unclear {
			e.deny(d.head, refusal{setting: "require", code: errcode.PolicyUnverified, subject: subject, value: logging.URL(f.url), limit: d.String(),
				message: "the path of " + logging.URL(f.url) + " can be read in more than one way", remedy: "Write the path without empty, dot or encoded parts."})
			continue
		}
		if slices.Contains(d.need, "none") {
			e.allow(d.head, subject, "nothing is demanded of %s", d.String())
			continue
		}
		i := slices.IndexFunc(f.proofs, func(v contract.Verification) bool {
			return slices.Contains(d.need, v.Kind) && counts(d, v)
		})
		if i >= 0 {
			e.allow(d.head, subject, "%s %s", proof(f.proofs[i]), has)
			continue
		}
		e.deny(d.head, refusal{setting: "require", code: errcode.PolicyUnverified, subject: subject, value: offers(f.proofs), limit: d.wants(),
			message: fmt.Sprintf("%s needs %s, and none %s", logging.URL(f.url), d.wants(), has)})
	}
}

// wants says what is demanded.
func (d demandRule) wants() string {
	var out []string
	for _, n := range d.need {
		switch {
		case n == contract.VerifiedSignature && len(d.keyrings) > 0:
			n = "a signature by a key of " + clipList(d.keyrings)
		case n == contract.VerifiedSignature:
			n = "a signature"
		case n == contract.VerifiedChecksumFile:
			n = "a checksum file (" + strings.Join(d.algorithms, ", ") + ")"
		default:
			n = "a digest (" + strings.Join(d.algorithms, ", ") + ")"
		}
		out = append(out, n)
	}
	return strings.Join(out, " or ")
}

// proof says what a verification is.
func proof(v contract.Verification) string {
	switch v.Kind {
	case contract.VerifiedSignature:
		out := "a signature"
		if v.Fingerprint != "" {
			out += " by " + v.Fingerprint
		}
		if v.Keyring != "" {
			out += " of keyring " + v.Keyring
		}
		return out
	case contract.VerifiedChecksumFile:
		return strings.TrimSpace("an entry of the checksum file " + v.URL)
	}
	return "the digest " + v.Algo
}

// offers lists the proofs that there are.
func offers(all []contract.Verification) string {
	if len(all) == 0 {
		return "nothing"
	}
	var out []string
	for _, v := range all {
		out = append(out, proof(v))
	}
	return clipList(out)
}
