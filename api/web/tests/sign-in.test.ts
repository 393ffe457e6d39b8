// @vitest-environment jsdom
import { beforeEach, describe, expect, it } from 'vitest'
import { leaveOffAt, leftOff, rememberSignIn, signInLink } from '../src/sign-in.ts'

describe('the way to where people sign in', () => {
  beforeEach(() => {
    localStorage.clear()
    sessionStorage.clear()
  })

  it.each(['/sign-in?next=planner', 'https://accounts.example/sign-in'])('leads to %s', (address) => {
    expect(signInLink(address)).toBe(address)
  })

  it.each(['//elsewhere.example', '/\\elsewhere.example', 'javascript:alert(1)', 'sign-in', ''])('does not lead to %s', (address) => {
    expect(signInLink(address)).toBeNull()
  })

  it('is remembered for a refusal that does not tell it', () => {
    expect(signInLink(null)).toBeNull()
    rememberSignIn('/sign-in')
    expect(signInLink(null)).toBe('/sign-in')
    expect(signInLink('/other')).toBe('/other')
  })

  it('leads back once to the job that was on the screen', () => {
    leaveOffAt('x')
    expect(leftOff()).toBe('x')
    expect(leftOff()).toBeNull()
  })
})
