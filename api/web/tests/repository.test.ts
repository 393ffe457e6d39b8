import { describe, expect, it } from 'vitest'
import { fileUrl, issueLink, webUrl } from '../src/repository.ts'

const SUGGESTION = { title: 'Undo & more', rationale: 'Why', description: 'What', implementationConsiderations: [], files: [] }

describe('the repository', () => {
  it('has a page for each file', () => {
    expect(fileUrl('https://github.com/acme/shop/blob/main/', 'app/[id]/a b.ts')).toBe(
      'https://github.com/acme/shop/blob/main/app/%5Bid%5D/a%20b.ts',
    )
    expect(fileUrl(null, 'a.ts')).toBeNull()
  })

  it.each(['javascript:alert(1)', 'data:text/html,x', '//evil.example', 'ftp://host/', '', null])('is not %s', (address) => {
    expect(webUrl(address)).toBeNull()
    expect(issueLink(address, SUGGESTION, null)).toBeNull()
  })

  it.each([
    ['https://github.com/acme/shop/blob/main/', 'GitHub', 'https://github.com/acme/shop/issues/new?title=Undo+%26+more&body='],
    ['https://git.acme.example/acme/shop/tree/main', 'GitHub', 'https://git.acme.example/acme/shop/issues/new?title='],
    [
      'https://gitlab.com/acme/group/shop/-/blob/main/',
      'GitLab',
      'https://gitlab.com/acme/group/shop/-/issues/new?issue%5Btitle%5D=Undo',
    ],
  ])('at %s has its issues on %s', (address, host, start) => {
    const link = issueLink(address, SUGGESTION, 'Checkout')
    expect(link?.host).toBe(host)
    expect(link?.url.startsWith(start)).toBe(true)
    expect(new URL(link?.url ?? '').search).toContain('Checkout')
  })

  it('has no issues where its address does not tell', () => {
    expect(issueLink('https://files.acme.example/shop/', SUGGESTION, null)).toBeNull()
  })

  it('is not given an address that is too long', () => {
    const long = { ...SUGGESTION, description: 'ä🙂'.repeat(5_000) }
    expect(issueLink('https://github.com/acme/shop/blob/main/', long, null)?.url.length).toBeLessThanOrEqual(7_000)
  })
})
