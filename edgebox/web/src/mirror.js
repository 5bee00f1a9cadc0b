// A second copy of the last unsent events. Chrome may empty IndexedDB when the disk is nearly full, and leaves
// localStorage alone; a device id that changed tells that it happened, and the copy is then sent under the old id.

const UNSENT = "edgebox.unsent";
const ORPHANS = "edgebox.orphans";

function read(name) {
  try {
    return JSON.parse(localStorage.getItem(name));
  } catch (refused) {
    return null;
  }
}

function write(name, value) {
  try {
    localStorage.setItem(name, JSON.stringify(value));
  } catch (refused) {
    // Full or forbidden: the queue itself still has them.
  }
}

/** At the start: set aside what an emptied queue has lost. */
export function findOrphans(device) {
  const unsent = read(UNSENT);
  if (!unsent || unsent.device === device || !unsent.events.length) return;
  write(ORPHANS, (read(ORPHANS) || []).concat(unsent));
  write(UNSENT, { device, events: [] });
}

export function nextOrphan() {
  return (read(ORPHANS) || [])[0];
}

export function dropOrphan() {
  write(ORPHANS, (read(ORPHANS) || []).slice(1));
}

export function mirrorUnsent(device, events) {
  write(UNSENT, { device, events });
}
