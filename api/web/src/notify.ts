/** Shows a notification when an answer has come, for people who have asked for it. */

import { remember, remembered } from './storage.ts'

const NAME = 'notify'

/** `off`: notifications can be requested; `blocked`: the browser or the person has refused, and is not asked again. */
export type NotifyState = 'on' | 'off' | 'blocked'

export const notifyState = (): NotifyState => {
  if (!('Notification' in globalThis) || !isSecureContext || Notification.permission === 'denied') {
    return 'blocked'
  }
  return Notification.permission === 'granted' && remembered(NAME) === true ? 'on' : 'off'
}

/** Asks the browser, which asks the person once. */
export const turnOn = async (): Promise<NotifyState> => {
  if ((await Notification.requestPermission()) === 'granted') {
    remember(NAME, true)
  }
  return notifyState()
}

export const turnOff = (): NotifyState => {
  remember(NAME, null)
  return notifyState()
}

/** Shows the notification, unless the page is visible. */
export const notify = (title: string, body: string): void => {
  if (notifyState() !== 'on' || document.visibilityState === 'visible') {
    return
  }
  try {
    const shown = new Notification(title, { body, tag: 'feature-planner' })
    shown.addEventListener('click', () => {
      window.focus()
      shown.close()
    })
  } catch {
    // Chrome on Android allows notifications only from service workers.
  }
}
