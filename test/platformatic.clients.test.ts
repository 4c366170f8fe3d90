// @platformatic/kafka against the server.
import { journey } from "./clients/journey.ts";
import { openPlatformatic } from "./clients/platformatic.ts";

journey("platformatic", openPlatformatic);
