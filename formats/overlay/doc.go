// Package overlay makes one disk of a child and its parent.
//
// A child, which is what VHD and VHDX call a differencing disk, stores the
// parts of a disk that differ from another disk, its parent. What the child
// stores is present; where it stores nothing, it is transparent and the parent
// shows through. A parent may itself be a child, and the whole is a chain.
//
// A reader of a format says as a Layer what its child stores; New lays it over
// the parent. In and Named say of errors and findings which file of an image of
// several they come from.
package overlay
