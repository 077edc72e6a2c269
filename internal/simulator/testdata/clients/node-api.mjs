// A client written by others against the simulator: shopify-api-node, which
// takes an agent. It reaches the shop by its Host header.
import Shopify from 'shopify-api-node'
import { PlainAgent, tell, told } from './client.mjs'

tell('listening')
const { simulator, shop, token } = await told()
const shopify = new Shopify({ shopName: shop, accessToken: token, apiVersion: '2026-10', agent: { https: new PlainAgent(simulator) } })
const products = new Set()
for (let after = null, more = true; more; ) {
  const answer = await shopify.graphql(
    `query Page($after: String) {
      products(first: 50, after: $after) { edges { node { id title } } pageInfo { hasNextPage endCursor } }
    }`,
    { after },
  )
  for (const { node } of answer.products.edges) products.add(node.id)
  more = answer.products.pageInfo.hasNextPage
  after = answer.products.pageInfo.endCursor
}
const { requestedQueryCost, actualQueryCost, max, restoreRate } = shopify.callGraphqlLimits
tell('paged', { products: products.size, requestedQueryCost, actualQueryCost, max, restoreRate })
let refused
try {
  await shopify.graphql('{ shop { weather } }')
} catch (error) {
  refused = error.extensions.code
}
tell('refused', { code: refused })
process.exit(0)
