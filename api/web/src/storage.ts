/** Small things remembered in this browser; nothing where the browser does not allow it. */

const PREFIX = 'feature-planner:'

export const remembered = (name: string): unknown => {
  try {
    return JSON.parse(localStorage.getItem(PREFIX + name) ?? 'null')
  } catch {
    return null
  }
}

/** Null forgets it. */
export const remember = (name: string, value: unknown): void => {
  try {
    if (value === null) {
      localStorage.removeItem(PREFIX + name)
    } else {
      localStorage.setItem(PREFIX + name, JSON.stringify(value))
    }
  } catch {
    // Private windows of some browsers, or a full disk: then it is not remembered.
  }
}
