// Package lru has a map of bounded size that forgets what was not used for longest.
package lru

import "container/list"

// A Map holds at most a number of entries. It is not safe for concurrent use.
type Map[K comparable, V any] struct {
	max   int
	order *list.List // of *entry[K, V], the one that was used last in front
	at    map[K]*list.Element
}

type entry[K comparable, V any] struct {
	key   K
	value V
}

// New returns a map of at most max entries, at least one.
func New[K comparable, V any](max int) *Map[K, V] {
	return &Map[K, V]{max: max, order: list.New(), at: map[K]*list.Element{}}
}

// Get returns an entry and counts as its use.
func (m *Map[K, V]) Get(key K) (V, bool) {
	e, ok := m.at[key]
	if !ok {
		var none V
		return none, false
	}
	m.order.MoveToFront(e)
	return e.Value.(*entry[K, V]).value, true
}

// Put sets an entry, and forgets another one if there are too many.
func (m *Map[K, V]) Put(key K, value V) {
	if e, ok := m.at[key]; ok {
		e.Value.(*entry[K, V]).value = value
		m.order.MoveToFront(e)
		return
	}
	if m.order.Len() >= m.max {
		last := m.order.Back()
		m.order.Remove(last)
		delete(m.at, last.Value.(*entry[K, V]).key)
	}
	m.at[key] = m.order.PushFront(&entry[K, V]{key, value})
}

// Delete removes an entry, if it is there.
func (m *Map[K, V]) Delete(key K) {
	if e, ok := m.at[key]; ok {
		m.order.Remove(e)
		delete(m.at, key)
	}
}

// Len returns how many entries there are.
func (m *Map[K, V]) Len() int { return m.order.Len() }
