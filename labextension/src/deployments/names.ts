/** An endpoint's name made from a model's: small letters, digits and -. */
export function endpointName(model: string): string {
  const name = model
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, 63)
    .replace(/^-+|-+$/g, '');
  return name || 'endpoint';
}

/** A name for an endpoint whose own name another project has. */
export function freeName(slug: string, name: string): string {
  return endpointName(`${slug}-${name}`);
}
