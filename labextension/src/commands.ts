/** The commands of all rooms. */
export namespace CommandIDs {
  export const serviceStatus = 'himalia:service-status';
}
